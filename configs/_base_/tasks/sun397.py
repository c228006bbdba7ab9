# SUN397, the first of its splits (4.1): accuracy. A fifth of its training part
# validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/sun397'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=397))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.015, weight_decay=0.00005),
    byol=dict(lr=0.01, weight_decay=0.00005),
    first_version=dict(lr=0.03, weight_decay=0.002),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0069, weight_decay=0.00003),
    byol=dict(lr=0.004, weight_decay=0.00003),
    simclr_bissl=dict(lr=0.00079, weight_decay=0.00001),
    byol_bissl=dict(lr=0.00063, weight_decay=0.00029),
    first_version=dict(lr=0.0097, weight_decay=0.00121),
    first_version_bissl=dict(lr=0.0015, weight_decay=0.00298),
)
