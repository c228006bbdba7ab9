# Figure 6.4 of the thesis (Table F.4):
#   python tools/experiment.py run configs/experiments/thesis_figure6_4.py
_base_ = '_simclr_r50.py'

title = 'Lower steps N_L, Pets (thesis, Figure 6.4)'
tasks = ['pets']
arms = ['FT', 'BiSSL+FT']
# The warm-up is over 10 * N_L lower steps (4.2.2).
_warmup = [10, 20, 50, 100, 200, 300, 400, 500]
vary = dict(
    name='N_L',
    stage={
        'train_cfg.num_lower_steps': [1, 2, 5, 10, 20, 30, 40, 50],
        'param_scheduler.lower.0.end': _warmup,
        'param_scheduler.lower.1.begin': _warmup,
    },
)
search = dict(settings=25)
report = dict(published='thesis.figure6_4', kind='figure')
