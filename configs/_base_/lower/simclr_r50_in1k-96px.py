# SimCLR on ImageNet at 96 px as in 4.2.1 of the paper.
# The published code draws crops with RandomResizedCrop(crop_ratio_range=
# (0.08, 1.0), aspect_ratio_range=(0.5, 1.0)); the paper speaks of a minimal
# crop ratio of 0.5, which is what stands here.
common_view = [
    dict(
        type='RandomResizedCrop',
        scale=96,
        crop_ratio_range=(0.5, 1.0),
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
# Pillow's blur of radius 0.1 to 2.0, as Bardes et al., whom 4.2.1 follows; the
# thesis (6.1.1) names a kernel of 23 pixels.
first_view = common_view + [
    dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=1.0)
]
second_view = common_view + [
    dict(
        type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.1
    ),
    dict(type='Solarize', thr=128, prob=0.2),
]

# Of all processes together (4.2.1); any number that divides it may share it.
pretext_dataloader = dict(
    total_batch_size=1024,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='ImageNet',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DATA_DIR:data}}/imagenet',
        split='train',
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
    # As the published code: each view has its own batch statistics.
    separate_views=True,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    # Statistics of all processes' images, as in the released pretraining;
    # the paper is silent. Of the bilevel stage see its configs, sync_norms.
    backbone=dict(
        type='ResNet', depth=50, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=2048,
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
