# Table 3 of the published paper, and training twice, which it lacks:
#   python tools/experiment.py run configs/experiments/tmlr_table3.py
_base_ = '_simclr_r50.py'

title = 'Baselines (Table 3)'
tasks = ['pets', 'dtd', 'voc07', 'flowers', 'cub200']
arms = [
    'FT',
    'Random initialization',
    'Linear probing',
    'Zero head',
    'NoisyTune',
    'Data mix',
    'Weighted sum',
    'IJ discarded',
    'BiSSL+FT',
    'Training twice',
]
report = dict(published='tmlr.table3')
