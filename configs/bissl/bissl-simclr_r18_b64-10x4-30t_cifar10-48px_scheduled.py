# A lambda that rises with the alternations, and soon is what it stays (thesis, 5.2.1;
# Figures 6.6, 6.7, Table 6.3). Others: schedule=cosine_increase, or cosine_decay.
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    regularizer=dict(
        _delete_=True,
        type='ScheduledDistance',
        schedule='exponential_increase',
        alpha=100.0,
        max_weight=0.03,
        min_weight=1e-8,
    )
)
