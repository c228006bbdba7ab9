# Figure 6.7 of the thesis (Table F.7):
#   python tools/experiment.py run configs/experiments/thesis_figure6_7.py
_base_ = '_thesis_small.py'

title = 'Exponential schedules of lambda in small, Pets (thesis, Figure 6.7)'
_schedule = {
    'optim_wrapper.regularizer.type': 'ScheduledDistance',
    'optim_wrapper.regularizer.schedule': 'exponential_increase',
}
arms = {
    'FT': {},
    'alpha 1': dict(
        like='BiSSL+FT',
        stage={**_schedule, 'optim_wrapper.regularizer.alpha': 1.0},
        published='alpha_1',
    ),
    'alpha 10': dict(
        like='BiSSL+FT',
        stage={**_schedule, 'optim_wrapper.regularizer.alpha': 10.0},
        published='alpha_10',
    ),
    'alpha 100': dict(
        like='BiSSL+FT',
        stage={**_schedule, 'optim_wrapper.regularizer.alpha': 100.0},
        published='alpha_100',
    ),
}
vary = dict(
    name='largest lambda',
    stage={'optim_wrapper.regularizer.max_weight': [0.1, 0.01, 0.001, 0.0001]},
)
report = dict(published='thesis.figure6_7', kind='figure')
