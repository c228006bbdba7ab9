# Stage 4, the BiSSL arm: differs from the baseline in the checkpoint and in
# learning rate and weight decay (Table 7).
#   python tools/train.py configs/fine_tune/r50-bissl-simclr_b256-400e_pets.py
_base_ = 'r50-simclr_b256-400e_pets.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/'
            'bissl-simclr_r50_8xb128-20x8-500t_in1k-pets/backbone.pth'
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.00153, weight_decay=0.00314))
