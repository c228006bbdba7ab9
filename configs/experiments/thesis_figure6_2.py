# Figure 6.2 of the thesis (Table F.2):
#   python tools/experiment.py run configs/experiments/thesis_figure6_2.py
_base_ = '_simclr_r50.py'

title = 'Number of alternations T, Pets (thesis, Figure 6.2)'
tasks = ['pets']
arms = ['FT', 'BiSSL+FT']
vary = dict(
    name='T',
    stage={'train_cfg.num_alternations': [100, 200, 300, 400, 500, 600, 800, 1000]},
)
search = dict(settings=25)
report = dict(published='thesis.figure6_2', kind='figure')
