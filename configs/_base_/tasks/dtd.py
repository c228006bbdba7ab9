# Describable Textures, the first of its splits (4.1): accuracy. The parts are its
# own (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/dtd'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=47))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001),
    byol=dict(lr=0.015, weight_decay=0.0001),
    first_version=dict(lr=0.015, weight_decay=0.0075),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0514, weight_decay=0.0011),
    byol=dict(lr=0.0114, weight_decay=0.00011),
    simclr_bissl=dict(lr=0.00062, weight_decay=0.00002),
    byol_bissl=dict(lr=0.00028, weight_decay=0.00008),
    first_version=dict(lr=0.0262, weight_decay=0.00332),
    first_version_bissl=dict(lr=0.005, weight_decay=0.00003),
)
