# Figure 6.8 of the thesis (Table F.8):
#   python tools/experiment.py run configs/experiments/thesis_figure6_8.py
_base_ = '_simclr_r50.py'

title = 'Learned lambda, Pets (thesis, Figure 6.8)'
tasks = ['pets']
arms = {
    'FT': {},
    'damping 0': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'LearnedDistance',
            'optim_wrapper.regularizer.damping': 0.0,
        },
        published='lambda_damp_0',
    ),
    'damping 10': dict(
        like='BiSSL+FT',
        stage={
            'optim_wrapper.regularizer.type': 'LearnedDistance',
            'optim_wrapper.regularizer.damping': 10.0,
        },
        published='lambda_damp_10',
    ),
}
vary = dict(
    name='lambda at the start',
    stage={
        'optim_wrapper.regularizer.weight': [2.0, 1.0, 0.1, 0.01, 0.001, 0.0001, 1e-5]
    },
)
search = dict(settings=25)
report = dict(
    published='thesis.figure6_8',
    kind='figure',
    note='The thesis does not say how many settings were searched.',
)
