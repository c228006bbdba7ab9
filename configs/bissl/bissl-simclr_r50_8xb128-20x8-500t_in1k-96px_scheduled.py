# A lambda that rises with the alternations (thesis, 5.2.1; Figures 6.6, 6.7, Table 6.3).
# Others: schedule=cosine_decay; schedule=exponential_increase with alpha=1, 10 or 100.
_base_ = 'bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py'

optim_wrapper = dict(
    regularizer=dict(
        _delete_=True,
        type='ScheduledDistance',
        schedule='cosine_increase',
        max_weight=0.002,
        min_weight=1e-8,
    )
)
