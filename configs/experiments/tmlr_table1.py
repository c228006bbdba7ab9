# Table 1 of the published paper, and Table 11, its top-5:
#   python tools/experiment.py run configs/experiments/tmlr_table1.py
_base_ = ['_both_r50.py', '_twelve_sets.py']

title = 'Fine-tuning alone and after BiSSL, 12 classification sets (Tables 1 and 11)'
arms = ['FT', 'BiSSL+FT']
report = dict(published='tmlr.table1')
