# Figure 6.6 of the thesis (Table F.6):
#   python tools/experiment.py run configs/experiments/thesis_figure6_6.py
_base_ = '_thesis_small.py'

title = 'Cosine schedules of lambda in small, Pets (thesis, Figure 6.6)'
arms = {
    'FT': {},
    'cosine increase': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'ScheduledDistance',
            'optim_wrapper.regularizer.schedule': 'cosine_increase',
        },
        published='cosine_increase',
    ),
    'cosine decay': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'ScheduledDistance',
            'optim_wrapper.regularizer.schedule': 'cosine_decay',
        },
        published='cosine_decay',
    ),
}
vary = dict(
    name='largest lambda',
    stage={
        'optim_wrapper.regularizer.max_weight': [
            10.0,
            1.0,
            0.1,
            0.01,
            0.002,
            0.001,
            1e-4,
        ]
    },
)
report = dict(published='thesis.figure6_6', kind='figure')
