# Table 12 of the published paper:
#   python tools/experiment.py run configs/experiments/tmlr_table12.py
_base_ = '_simclr_r50.py'

title = 'Fewer upper steps (Table 12)'
tasks = ['pets', 'dtd', 'voc07', 'flowers', 'cub200']
arms = ['BiSSL+FT']
vary = dict(
    name='steps',
    labels=['N_U=1, T=500', 'N_U=1, T=4000', 'N_U=8, T=500'],
    stage={
        'train_cfg.num_upper_steps': [1, 1, 8],
        'train_cfg.num_alternations': [500, 4000, 500],
    },
)
search = dict(settings=50)
report = dict(published='tmlr.table12')
