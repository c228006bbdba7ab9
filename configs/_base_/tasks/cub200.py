# Caltech-UCSD Birds-200-2011 (4.1): accuracy. A fifth of its training part
# validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/cub200'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=200))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001),
    byol=dict(lr=0.015, weight_decay=0.0001),
    first_version=dict(lr=0.05, weight_decay=0.005),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0409, weight_decay=0.0084),
    byol=dict(lr=0.0095, weight_decay=0.00594),
    simclr_bissl=dict(lr=0.00043, weight_decay=0.00251),
    byol_bissl=dict(lr=0.00066, weight_decay=0.00075),
    first_version=dict(lr=0.0722, weight_decay=0.00568),
    first_version_bissl=dict(lr=0.0003, weight_decay=0.00495),
)
