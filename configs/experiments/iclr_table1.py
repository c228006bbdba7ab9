# Table 1 of the first version, with the settings of its Tables 2 to 4:
#   python tools/experiment.py run configs/experiments/iclr_table1.py
_base_ = '_first_version.py'

title = 'The first version: ResNet-18 on STL-10, 14 sets (Table 1)'
tasks = [
    'stl10',
    'flowers',
    'cars',
    'aircrafts',
    'dtd',
    'pets',
    'fashion_mnist',
    'cifar10-full',
    'cifar100',
    'caltech101',
    'food',
    'sun397',
    'cub200',
    'voc07',
]
arms = ['Longer pretraining', 'BiSSL+FT']
report = dict(published='iclr.table1')
