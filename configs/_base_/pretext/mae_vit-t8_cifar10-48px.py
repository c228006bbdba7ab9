# MAE with a small ViT (6 layers of 192) at 48 px on unlabeled CIFAR-10 images,
# for two cores. Crops of the MAE paper: few images need stronger ones.
_base_ = ['../data/image_folder.py', '../models/mae.py']

pretext_crop = dict(
    crop_ratio_range=(0.2, 1.0), interpolation='bicubic', backend='pillow'
)
pretext_dataloader = dict(
    dataset=dict(
        data_root='{{$BISSL_DATA_DIR:data}}/cifar10_unlabeled',
        data_prefix='images',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=48, **pretext_crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    )
)
pretext_model = dict(
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=6, num_heads=3, feedforward_channels=768),
        img_size=48,
    ),
    neck=dict(
        num_patches=36,
        embed_dim=192,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=3,
    ),
)
