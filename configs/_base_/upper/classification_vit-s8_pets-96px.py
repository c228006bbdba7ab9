# Linear classifier on ViT-S/8: Oxford Pets. Patch tokens are averaged and
# normalised, as in the fine-tuning of MAE; drop path as in B.8.
_base_ = 'classification_r50_pets-96px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='VisionTransformer',
        arch='deit-s',
        img_size=96,
        patch_size=8,
        drop_path_rate=0.1,
        out_type='avg_featmap',
        final_norm=False,
    ),
    neck=None,
    head=dict(in_channels=384),
)
