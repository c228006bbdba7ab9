# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/vit-t8-bissl-mae_b40-30e_dtd5.py
_base_ = 'vit-t8-mae_b40-30e_dtd5.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/'
            'bissl-mae_vit-t8_b64-10x4-10t_cifar10-dtd5/backbone.pth'
        )
    )
)
