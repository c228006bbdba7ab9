# MAE with a ViT of 340,000 weights (3 layers of 96, patches of 4) at 32 px over
# any folder of images. Crops of the MAE paper.
_base_ = ['../data/image_folder_decoded-32px.py', '../models/mae.py']

pretext_model = dict(
    data_preprocessor=dict(_delete_=True, crop_scale=(0.2, 1.0), **_base_.batch_views),
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=3, num_heads=3, feedforward_channels=384),
        img_size=32,
        patch_size=4,
    ),
    neck=dict(
        num_patches=64,
        patch_size=4,
        embed_dim=96,
        decoder_embed_dim=64,
        decoder_depth=1,
        decoder_num_heads=4,
    ),
    head=dict(patch_size=4),
)
