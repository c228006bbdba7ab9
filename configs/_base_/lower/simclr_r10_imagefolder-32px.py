# SimCLR with a ResNet of 307,000 weights at 32 px over any folder of images,
# which are decoded once; labels and sub-folders are not read. Views are drawn
# for whole batches. For two cores, or for many small runs.
pretext_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            type='CustomDataset',
            _scope_='mmpretrain',
            data_root='{{$BISSL_PRETEXT_DIR:data/pretext}}',
            data_prefix='',
            with_label=False,
            extensions=(
                '.jpg',
                '.jpeg',
                '.jfif',
                '.png',
                '.webp',
                '.tif',
                '.tiff',
                '.bmp',
                '.ppm',
                '.pgm',
            ),
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
        ),
    ),
)

pretext_model = dict(
    type='bissl_mm.SimCLR',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='bissl_mm.BatchViews',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        num_views=2,
        crop_scale=(0.25, 1.0),
        color_jitter=dict(
            brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8
        ),
        gray_prob=0.2,
    ),
    backbone=dict(
        type='bissl_mm.SmallResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=128,
        hid_channels=128,
        out_channels=64,
        num_layers=2,
        with_bias=False,
        with_last_bn=False,
        with_last_bias=True,
        with_avg_pool=True,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    head=dict(
        type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
    ),
)
