# Figure 5 of the published paper (C.4); only its best value is printed:
#   python tools/experiment.py run configs/experiments/tmlr_figure5.py
_base_ = '_simclr_r50.py'

title = 'Lambda, DTD (Figure 5)'
tasks = ['dtd']
arms = ['FT', 'BiSSL+FT']
vary = dict(
    name='lambda',
    stage={'optim_wrapper.regularizer.weight': [1.0, 0.1, 0.01, 0.001, 0.0001]},
)
search = dict(settings=24)
report = dict(published='tmlr.figure5', kind='figure')
