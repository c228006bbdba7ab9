# SimCLR on handwritten digits at 32 px. No flips: they turn a digit into
# another sign.
view = [
    dict(
        type='Rotate',
        magnitude_range=(0.0, 20.0),
        magnitude_std='inf',
        prob=0.8,
        pad_val=0,
    ),
    dict(
        type='RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.4, 1.0),
        backend='pillow',
    ),
    dict(
        type='RandomApply',
        transforms=[dict(type='ColorJitter', brightness=0.4, contrast=0.4)],
        prob=0.8,
    ),
    dict(
        type='GaussianBlur', magnitude_range=(0.1, 1.5), magnitude_std='inf', prob=0.5
    ),
]

pretext_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DEMO_DATA:work_dirs/demo/data}}/pretext',
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='MultiView', num_views=2, transforms=[view]),
            dict(type='PackInputs'),
        ],
    ),
)

pretext_model = dict(
    type='bissl_mm.SimCLR',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[76.0, 76.0, 76.0],
        std=[90.0, 90.0, 90.0],
        non_blocking=True,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=128,
        hid_channels=128,
        out_channels=64,
        num_layers=3,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=False,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    head=dict(
        type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
    ),
)
