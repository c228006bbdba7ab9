# Stage 4 after MAE, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/vit-p4-bissl-mae_b64-40e_imagefolder-32px.py
_base_ = 'vit-p4-mae_b64-40e_imagefolder-32px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/bissl-mae_vit-p4_b128-10x4-30t_imagefolder-'
            '32px/backbone.pth'
        )
    )
)
