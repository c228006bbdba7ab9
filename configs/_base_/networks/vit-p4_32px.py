# A ViT of 340,000 weights (3 layers of 96, patches of 4) without drop path, as
# ViT-S/8 otherwise.
network = dict(
    name='vit-p4_32px',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384),
        img_size=32,
        patch_size=4,
        out_type='avg_featmap',
        final_norm=False,
    ),
    neck=None,
    channels=96,
)
