# Oxford 102 Flowers (4.1): accuracy. The parts are its own (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/flowers'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=102))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.05, weight_decay=0.0005),
    byol=dict(lr=0.035, weight_decay=0.002),
    first_version=dict(lr=0.05, weight_decay=0.01),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.2178, weight_decay=0.00046),
    byol=dict(lr=0.035, weight_decay=0.00262),
    simclr_bissl=dict(lr=0.01768, weight_decay=0.0009),
    byol_bissl=dict(lr=0.00058, weight_decay=0.00006),
    first_version=dict(lr=0.113, weight_decay=0.00226),
    first_version_bissl=dict(lr=0.0007, weight_decay=0.00078),
)
