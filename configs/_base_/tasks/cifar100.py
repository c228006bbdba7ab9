# CIFAR-100 (4.1): accuracy. A fifth of its training part validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/cifar100'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=100))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.01, weight_decay=0.0001),
    byol=dict(lr=0.01, weight_decay=0.001),
    first_version=dict(lr=0.03, weight_decay=0.001),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0027, weight_decay=0.00012),
    byol=dict(lr=0.0023, weight_decay=0.00012),
    simclr_bissl=dict(lr=0.00252, weight_decay=0.00046),
    byol_bissl=dict(lr=0.00042, weight_decay=0.00292),
    first_version=dict(lr=0.005, weight_decay=0.00127),
    first_version_bissl=dict(lr=0.0013, weight_decay=0.00322),
)
