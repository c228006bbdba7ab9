# Table 8 of the published paper, the sweep of w:
#   python tools/experiment.py run configs/experiments/tmlr_table8.py
_base_ = '_simclr_r50.py'

title = 'Weighted sum of both objectives over w (Table 8)'
tasks = ['dtd']
arms = ['FT', 'Weighted sum', 'BiSSL+FT']
vary = dict(
    name='w',
    arms=['Weighted sum'],
    stage={'optim_wrapper.weight': [0, 0.05, 0.1, 0.25, 0.5, 0.75]},
)
search = dict(settings=25)
report = dict(published='tmlr.table8')
