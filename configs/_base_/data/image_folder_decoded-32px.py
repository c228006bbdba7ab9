# Any folder of images, which are decoded once, at 32 px; labels and sub-folders
# are not read. Views are drawn for whole batches.
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
            extensions=tuple(
                '.jpg .jpeg .jfif .png .webp .tif .tiff .bmp .ppm .pgm'.split()
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
batch_views = dict(
    type='bissl_mm.BatchViews',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
)
# Of tasks that compare two views.
two_views = dict(
    batch_views,
    num_views=2,
    crop_scale=(0.25, 1.0),
    color_jitter=dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8),
    gray_prob=0.2,
)
