# A small ViT (6 layers of 192, patches of 8), as ViT-S/8 otherwise.
network = dict(
    name='vit-t8_48px',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=192, num_layers=6, num_heads=3, feedforward_channels=768),
        img_size=48,
        patch_size=8,
        drop_path_rate=0.1,
        out_type='avg_featmap',
        final_norm=False,
    ),
    neck=None,
    channels=192,
)
# Layer-wise decay of the learning rate, as in B.8.
layer_decay = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
