# Stage 4, the baseline arm after BYOL, on five texture classes of DTD.
#   python tools/train.py configs/fine_tune/r18-byol_b40-30e_dtd5.py
_base_ = 'r18-simclr_b40-30e_dtd5.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/byol_r18_b128-6e_cifar10-48px/epoch_6.pth')
    )
)
