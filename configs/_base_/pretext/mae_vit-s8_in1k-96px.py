# MAE with ViT-S/8 on ImageNet at 96 px (B.8 of the paper); the decoder is that
# of the MAE paper. B.8 is silent on crops and flips: they are those of 4.2.1;
# the MAE paper crops 0.2 to 1.
_base_ = ['../data/in1k.py', '../models/mae.py']

pretext_crop = dict(
    crop_ratio_range=(0.5, 1.0), interpolation='bicubic', backend='pillow'
)
pretext_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=96, **pretext_crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]
    )
)
pretext_model = dict(
    backbone=dict(arch='deit-s', img_size=96),
    neck=dict(
        num_patches=144,
        embed_dim=384,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16,
    ),
)
