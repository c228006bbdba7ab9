# MAE with ViT-S/8 on ImageNet at 96 px (B.8 of the paper); the decoder is that
# of the MAE paper. B.8 is silent on crops and flips: they are those of 4.2.1;
# the MAE paper crops 0.2 to 1.
# The batch is that of all processes together, any number that divides it.
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
                type='RandomResizedCrop',
                scale=96,
                crop_ratio_range=(0.5, 1.0),
                interpolation='bicubic',
                backend='pillow',
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)

# B.8 is silent on it: as in mmpretrain's MAE norms, biases and the two tokens do
# not decay.
pretext_paramwise_cfg = dict(
    norm_decay_mult=0.0,
    bias_decay_mult=0.0,
    custom_keys=dict(mask_token=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0)),
)

pretext_model = dict(
    type='MAE',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='MAEViT', arch='deit-s', img_size=96, patch_size=8, mask_ratio=0.75
    ),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=144,
        patch_size=8,
        in_chans=3,
        embed_dim=384,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16,
        mlp_ratio=4.0,
    ),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=8,
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
    ],
)
