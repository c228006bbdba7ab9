# Table 6.1 of the thesis:
#   python tools/experiment.py run configs/experiments/thesis_table6_1.py
_base_ = '_simclr_r50.py'

title = 'The default on four sets (thesis, Table 6.1)'
tasks = ['voc07', 'dtd', 'pets', 'flowers']
arms = ['FT', 'BiSSL+FT']
search = dict(settings=50)
report = dict(published='thesis.table6_1')
