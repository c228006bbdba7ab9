# Caltech-101 (4.1): accuracy. 30 images of a class are for training, a fifth of
# these validates; the rest tests (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/caltech101'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=101))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.0001),
    byol=dict(lr=0.015, weight_decay=0.0002),
    first_version=dict(lr=0.03, weight_decay=0.007),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0131, weight_decay=0.00005),
    byol=dict(lr=0.0069, weight_decay=0.00027),
    simclr_bissl=dict(lr=0.00079, weight_decay=0.00005),
    byol_bissl=dict(lr=0.00194, weight_decay=0.00003),
    first_version=dict(lr=0.0096, weight_decay=0.00902),
    first_version_bissl=dict(lr=0.0004, weight_decay=0.00013),
)
