# The t-SNE figures of the published paper, 4 and 6 to 11 (B.10.2, C.7), which need no
# fine-tuning:
#   python tools/experiment.py run configs/experiments/tmlr_figure4.py
_base_ = '_simclr_r50.py'

title = 'Test features after pretraining and after BiSSL (Figures 4 and 6 to 11)'
tasks = ['flowers', 'pets', 'cifar10-full', 'aircrafts', 'cub200', 'caltech101', 'cars']
arms = ['FT', 'BiSSL+FT']
report = dict(published='tmlr.figure4', kind='features')
