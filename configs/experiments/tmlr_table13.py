# Table 13 of the published paper:
#   python tools/experiment.py run configs/experiments/tmlr_table13.py
_base_ = '_simclr_r50.py'

title = 'ImageNet with 1, 10 and 100% of its labels (Table 13)'
tasks = ['imagenet-1p', 'imagenet-10p', 'imagenet-100p']
arms = {'FT': {}, 'BiSSL+FT': dict(stage={'train_cfg.num_alternations': 100})}
search = dict(settings=25)
report = dict(published='tmlr.table13')
