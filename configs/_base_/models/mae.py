# MAE (B.8); the pretext side says the size of the ViT and of the decoder.
pretext_model = dict(
    type='MAE',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='MAEViT', patch_size=8, mask_ratio=0.75),
    neck=dict(type='MAEPretrainDecoder', patch_size=8, in_chans=3, mlp_ratio=4.0),
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
adamw = dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.05)
# B.8 is silent on it: as in mmpretrain's MAE norms, biases and the two tokens do
# not decay.
pretext_paramwise_cfg = dict(
    norm_decay_mult=0.0,
    bias_decay_mult=0.0,
    custom_keys=dict(mask_token=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0)),
)
# The position embedding is fixed and the last norm serves the decoder; the
# classifier has a norm of its own behind the average.
mae_backbone_map = dict(
    frozen='fix', unmapped_lower=['backbone.ln1'], unmapped_upper=['backbone.ln2']
)
