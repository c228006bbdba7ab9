# Table 2 of the published paper:
#   python tools/experiment.py run configs/experiments/tmlr_table2.py
_base_ = '_both_r50.py'

title = 'Detection and segmentation (Table 2)'
tasks = ['voc0712-c4', 'voc0712-fcn16', 'cityscapes-fcn16']
arms = ['FT', 'BiSSL+FT']
report = dict(published='tmlr.table2')
