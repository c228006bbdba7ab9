# Your own folder with train/<class>, val/<class> and test/<class>, at 32 px, whose
# images are decoded once: accuracy.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = ['../data/decoded.py', '../models/classifier.py']
networks = ('r10_32px', 'vit-p4_32px')

images = dict(
    type='CustomDataset',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
    extensions=tuple('.jpg .jpeg .jfif .png .webp .tif .tiff .bmp .ppm .pgm'.split()),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='ResizeEdge',
            scale=32,
            edge='short',
            interpolation='bicubic',
            backend='pillow',
        ),
        dict(type='CenterCrop', crop_size=32),
        dict(type='PackInputs'),
    ],
)
stacked = dict(type='default_collate')
train_dataloader = dict(
    batch_size=64,
    collate_fn=stacked,
    dataset=dict(dataset=dict(images, data_prefix='train')),
)
val_dataloader = dict(
    batch_size=250,
    collate_fn=stacked,
    dataset=dict(dataset=dict(images, data_prefix='val')),
)
test_dataloader = dict(
    batch_size=250,
    collate_fn=stacked,
    dataset=dict(dataset=dict(images, data_prefix='test')),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
downstream = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='bissl_mm.BatchViews',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        crop_scale=(0.5, 1.0),
    ),
    head=dict(num_classes={{'$BISSL_NUM_CLASSES:10'}}),
)

# Small networks want large learning rates: below 0.01 they end undertrained.
fine_tune = dict(
    custom_imports=dict(
        imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
    ),
    search=dict(lr=(0.02, 0.32), weight_decay=(5e-4, 5e-3)),
    train_cfg=dict(max_epochs=40, val_interval=4),
    optim_wrapper=dict(optimizer=dict(lr=0.08, weight_decay=0.002)),
    param_scheduler=dict(end=40),
    default_hooks=dict(
        checkpoint=dict(interval=40, max_keep_ckpts=1, save_best='accuracy/top1')
    ),
)
