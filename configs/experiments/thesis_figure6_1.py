# Figure 6.1 of the thesis (Table F.1):
#   python tools/experiment.py run configs/experiments/thesis_figure6_1.py
_base_ = '_simclr_r50.py'

title = 'Lambda, Pets (thesis, Figure 6.1)'
tasks = ['pets']
arms = ['FT', 'BiSSL+FT']
vary = dict(
    name='lambda',
    stage={'optim_wrapper.regularizer.weight': [1.0, 0.1, 0.01, 0.001, 0.0001]},
)
search = dict(settings=25)
report = dict(published='thesis.figure6_1', kind='figure')
