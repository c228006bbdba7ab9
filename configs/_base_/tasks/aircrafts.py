# FGVC Aircraft, 100 variants (4.1): accuracy. The parts are its own (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/aircrafts'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=100))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.005),
    byol=dict(lr=0.015, weight_decay=0.003),
    first_version=dict(lr=0.015, weight_decay=0.01),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0269, weight_decay=0.0038),
    byol=dict(lr=0.0119, weight_decay=0.00333),
    simclr_bissl=dict(lr=0.00015, weight_decay=0.00003),
    byol_bissl=dict(lr=0.00025, weight_decay=0.00056),
    first_version=dict(lr=0.0167, weight_decay=0.00996),
    first_version_bissl=dict(lr=0.0126, weight_decay=0.00459),
)
