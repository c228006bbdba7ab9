# Figure 6.3 of the thesis (Table F.3):
#   python tools/experiment.py run configs/experiments/thesis_figure6_3.py
_base_ = '_simclr_r50.py'

title = 'Upper steps N_U, Pets (thesis, Figure 6.3)'
tasks = ['pets']
arms = ['FT', 'BiSSL+FT']
vary = dict(name='N_U', stage={'train_cfg.num_upper_steps': [1, 2, 4, 8, 10, 12]})
search = dict(settings=25)
report = dict(published='thesis.figure6_3', kind='figure')
