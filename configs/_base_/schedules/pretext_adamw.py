# Pretraining with AdamW (B.8); the leaf says for how long.
_base_ = 'by_epoch.py'

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05),
)
