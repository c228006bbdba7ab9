# MAE with a ViT of 340,000 weights (3 layers of 96, patches of 4) at 32 px over
# any folder of images, which are decoded once. Crops of the MAE paper.
_base_ = 'simclr_r10_imagefolder-32px.py'

# As in mmpretrain's MAE norms, biases and the two tokens do not decay.
pretext_paramwise_cfg = dict(
    norm_decay_mult=0.0,
    bias_decay_mult=0.0,
    custom_keys=dict(mask_token=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0)),
)

pretext_model = dict(
    _delete_=True,
    type='MAE',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='bissl_mm.BatchViews',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        crop_scale=(0.2, 1.0),
    ),
    backbone=dict(
        type='MAEViT',
        arch=dict(embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384),
        img_size=32,
        patch_size=4,
        mask_ratio=0.75,
    ),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=64,
        patch_size=4,
        in_chans=3,
        embed_dim=96,
        decoder_embed_dim=64,
        decoder_depth=1,
        decoder_num_heads=4,
        mlp_ratio=4.0,
    ),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=4,
        loss=dict(type='PixelReconstructionLoss', criterion='L2'),
    ),
    init_cfg=[
        dict(type='Xavier', layer='Linear', distribution='uniform'),
        dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
    ],
)
