# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/r18-bissl-simclr_b40-30e_dtd5.py
_base_ = 'r18-simclr_b40-30e_dtd5.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/'
            'bissl-simclr_r18_b64-10x4-10t_cifar10-dtd5/backbone.pth'
        )
    )
)
