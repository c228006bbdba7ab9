# CIFAR-10 with all of its labels (4.1): accuracy. A fifth of its training part
# validates (B.1). cifar10.py has 1000 labels.
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/cifar10'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=10))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.015, weight_decay=0.001),
    byol=dict(lr=0.01, weight_decay=0.001),
    first_version=dict(lr=0.03, weight_decay=0.006),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0033, weight_decay=0.00158),
    byol=dict(lr=0.0014, weight_decay=0.00106),
    simclr_bissl=dict(lr=0.00097, weight_decay=0.00258),
    byol_bissl=dict(lr=0.00098, weight_decay=0.00039),
    first_version=dict(lr=0.0067, weight_decay=0.00128),
    first_version_bissl=dict(lr=0.0007, weight_decay=0.00611),
)
