# SimCLR with ResNet-18 at 64 px over any folder of images; labels and
# sub-folders are not read.
# Stronger crops than the paper's: few images need them.
common_view = [
    dict(
        type='RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=[
            dict(
                type='ColorJitter',
                brightness=0.4,
                contrast=0.4,
                saturation=0.2,
                hue=0.1,
            )
        ],
        prob=0.8,
    ),
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989),
    ),
]
first_view = common_view + [
    dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=1.0)
]
second_view = common_view + [
    dict(
        type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.1
    ),
    dict(type='Solarize', thr=128, prob=0.2),
]

pretext_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
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
                type='MultiView', num_views=[1, 1], transforms=[first_view, second_view]
            ),
            dict(type='PackInputs'),
        ],
    ),
)

pretext_model = dict(
    type='bissl_mm.SimCLR',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='ResNet', depth=18, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=512,
        hid_channels=256,
        out_channels=256,
        num_layers=3,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=False,
        with_avg_pool=True,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    head=dict(
        type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
    ),
)
