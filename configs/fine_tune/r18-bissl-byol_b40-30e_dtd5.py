# Stage 4, the BiSSL arm after BYOL, on five texture classes of DTD.
#   python tools/train.py configs/fine_tune/r18-bissl-byol_b40-30e_dtd5.py
_base_ = 'r18-simclr_b40-30e_dtd5.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/bissl-byol_r18_b64-10x4-10t_cifar10-dtd5/backbone.pth'
        )
    )
)
