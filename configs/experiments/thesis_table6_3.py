# Table 6.3 of the thesis:
#   python tools/experiment.py run configs/experiments/thesis_table6_3.py
_base_ = '_simclr_r50.py'

title = 'Schedules of lambda at full scale (thesis, Table 6.3)'
tasks = ['voc07', 'dtd', 'pets', 'flowers']
arms = {
    'FT': {},
    'fixed': dict(like='BiSSL+FT', published='fixed'),
    'exponential increase, alpha 100': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'ScheduledDistance',
            'optim_wrapper.regularizer.schedule': 'exponential_increase',
            'optim_wrapper.regularizer.max_weight': 0.001,
            'optim_wrapper.regularizer.alpha': 100.0,
        },
        published='exponential',
    ),
    'cosine increase': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'ScheduledDistance',
            'optim_wrapper.regularizer.schedule': 'cosine_increase',
            'optim_wrapper.regularizer.max_weight': 0.002,
        },
        published='cosine',
    ),
}
search = dict(settings=50)
report = dict(
    published='thesis.table6_3',
    note='The thesis does not say how many settings were searched.',
)
