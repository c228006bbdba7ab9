# Stage 4, the baseline arm after BYOL (Table 5).
#   python tools/train.py configs/fine_tune/r50-byol_b256-400e_pets.py
_base_ = 'r50-simclr_b256-400e_pets.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            checkpoint='work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth'
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.0044, weight_decay=0.00779))
