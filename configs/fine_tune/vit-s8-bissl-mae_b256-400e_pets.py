# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/vit-s8-bissl-mae_b256-400e_pets.py
_base_ = 'vit-s8-mae_b256-400e_pets.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/'
            'bissl-mae_vit-s8_8xb128-20x8-500t_in1k-pets/backbone.pth'
        )
    )
)
