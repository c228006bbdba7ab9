# Table 10 of the published paper (C.1): one fine-tuning of each task and one stage, on
# DTD as there:
#   python tools/experiment.py run configs/experiments/tmlr_table10.py
_base_ = ['_simclr_r50.py', '_twelve_sets.py']

title = 'Device hours of each stage (Table 10)'
arms = {'FT': {}, 'BiSSL+FT': dict(tasks=['dtd'])}
# The first point of the search of Table 1.
search = dict(settings=1)
seeds = 1
report = dict(published='tmlr.table10', kind='time')
