# Your own folder with train/<class>, val/<class> and test/<class>, at 224 px, below
# a public ResNet-50: accuracy. The bilevel stage reads your own unlabeled images, too.
# Set, before the command, BISSL_PRETEXT_DIR, BISSL_DOWNSTREAM_DIR and
# BISSL_NUM_CLASSES.
_base_ = ['../data/class_folders.py', '../models/classifier.py']
networks = ('r50_224px',)

# The leaves at 224 px have the views.
images = dict(
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
    extensions=tuple('.jpg .jpeg .jfif .png .webp .tif .tiff .bmp .ppm .pgm'.split()),
)
# The batch is that of all processes together, any number that divides it; folders
# of few images have no full batch of the paper's 256.
_base_.train_dataloader.pop('batch_size')
train_dataloader = dict(total_batch_size=64, num_workers=4, dataset=images)
val_dataloader = dict(num_workers=4, dataset=images)
test_dataloader = dict(num_workers=4, dataset=images)
downstream = dict(head=dict(num_classes={{'$BISSL_NUM_CLASSES:10'}}))

# In the place of ImageNet; labels and sub-folders are not read.
pretext_images = dict(
    type='CustomDataset',
    _scope_='mmpretrain',
    data_root='{{$BISSL_PRETEXT_DIR:data/pretext}}',
    data_prefix='',
    with_label=False,
    extensions=images['extensions'],
)

fine_tune = dict(
    # The network's norms are this package's.
    custom_imports=dict(imports=['bissl_mm.models']),
    search=dict(seeds=5),
    default_hooks=dict(
        checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
    ),
)
