# Your own folder with train/<class>, val/<class> and test/<class>, at 64 px:
# accuracy. Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = [
    '../data/class_folders.py',
    '../views/classification_64px.py',
    '../models/classifier.py',
]
networks = ('r18_48px', 'r18_64px')

images = dict(
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
    extensions=tuple('.jpg .jpeg .jfif .png .webp .tif .tiff .bmp .ppm .pgm'.split()),
)
train_dataloader = dict(
    batch_size=64, dataset=dict(images, pipeline=_base_.train_pipeline)
)
val_dataloader = dict(dataset=dict(images, pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(images, pipeline=_base_.test_pipeline))
downstream = dict(head=dict(num_classes={{'$BISSL_NUM_CLASSES:10'}}))

fine_tune = dict(
    default_hooks=dict(
        checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
    )
)
