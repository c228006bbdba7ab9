# Oxford-IIIT Pets (4.1): accuracy. A fifth of its training part validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/pets'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=37))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001),
    byol=dict(lr=0.02, weight_decay=0.002),
    first_version=dict(lr=0.03, weight_decay=0.005),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0378, weight_decay=0.00114),
    byol=dict(lr=0.0044, weight_decay=0.00779),
    simclr_bissl=dict(lr=0.00153, weight_decay=0.00314),
    byol_bissl=dict(lr=0.00042, weight_decay=0.00002),
    first_version=dict(lr=0.0235, weight_decay=0.00472),
    first_version_bissl=dict(lr=0.0011, weight_decay=0.00852),
)
