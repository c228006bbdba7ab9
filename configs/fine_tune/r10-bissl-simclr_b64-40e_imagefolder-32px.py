# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/r10-bissl-simclr_b64-40e_imagefolder-32px.py
_base_ = 'r10-simclr_b64-40e_imagefolder-32px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/bissl-simclr_r10_b128-10x4-30t_imagefolder-'
            '32px/backbone.pth'
        )
    )
)
