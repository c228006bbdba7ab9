# Table 9 of the published paper and its averages, Figure 3 (B.10.1); the search is that
# of Table 1, the final runs are made again, because they keep their backbones:
#   python tools/experiment.py run configs/experiments/tmlr_table9.py
_base_ = ['_simclr_r50.py', '_twelve_sets.py']

title = 'Alignment of backbones with fine-tuned ones (Table 9, Figure 3)'
arms = ['FT', 'BiSSL+FT']
report = dict(published='tmlr.table9', kind='alignment')
