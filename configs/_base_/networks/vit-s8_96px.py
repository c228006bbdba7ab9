# ViT-S/8 below a linear classifier. Patch tokens are averaged and normalised, as
# in the fine-tuning of MAE; drop path as in B.8.
network = dict(
    name='vit-s8_96px',
    backbone=dict(
        type='VisionTransformer',
        arch='deit-s',
        img_size=96,
        patch_size=8,
        drop_path_rate=0.1,
        out_type='avg_featmap',
        final_norm=False,
    ),
    neck=None,
    channels=384,
)
# Layer-wise decay of the learning rate, as in B.8.
layer_decay = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
