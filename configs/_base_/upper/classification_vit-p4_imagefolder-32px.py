# Linear classifier on a ViT of 340,000 weights at 32 px over any folder with
# train/<class>, val/<class> and test/<class>.
_base_ = 'classification_r10_imagefolder-32px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch=dict(embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384),
        img_size=32,
        patch_size=4,
        out_type='avg_featmap',
        final_norm=False,
    ),
    neck=None,
    head=dict(in_channels=96),
)
