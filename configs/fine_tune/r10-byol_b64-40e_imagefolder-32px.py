# Stage 4 after BYOL, the baseline arm.
#   python tools/train.py configs/fine_tune/r10-byol_b64-40e_imagefolder-32px.py
_base_ = 'r10-simclr_b64-40e_imagefolder-32px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/byol_r10_b256-60e_imagefolder-32px/epoch_60.pth'
        )
    )
)
