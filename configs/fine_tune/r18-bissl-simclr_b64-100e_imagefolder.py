# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/r18-bissl-simclr_b64-100e_imagefolder.py
_base_ = 'r18-simclr_b64-100e_imagefolder.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/'
            'bissl-simclr_r18_b64-10x4-100t_imagefolder/backbone.pth'
        )
    )
)
