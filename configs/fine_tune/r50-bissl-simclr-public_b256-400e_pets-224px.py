# Stage 4 from public SimCLR weights, the BiSSL arm (C.6 of the paper): differs
# from the baseline in the checkpoint and in learning rate and weight decay
# (place-holders: those of 96 px, Table 7).
#   python tools/train.py \
#       configs/fine_tune/r50-bissl-simclr-public_b256-400e_pets-224px.py
_base_ = 'r50-simclr-public_b256-400e_pets-224px.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/bissl-simclr_r50_8xb128-10x4-200t_in1k-'
            'pets-224px/backbone.pth'
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.00153, weight_decay=0.00314))
