# The classification sets of the published paper's Table 1.
tasks = [
    'food',
    'cifar10-full',
    'cifar100',
    'cub200',
    'sun397',
    'cars',
    'aircrafts',
    'voc07',
    'dtd',
    'pets',
    'caltech101',
    'flowers',
]
