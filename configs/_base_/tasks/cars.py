# Stanford Cars (4.1): accuracy. A fifth of its training part validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/cars'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=196))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.035, weight_decay=0.001),
    byol=dict(lr=0.04, weight_decay=0.002),
    first_version=dict(lr=0.035, weight_decay=0.007),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0377, weight_decay=0.00454),
    byol=dict(lr=0.115, weight_decay=0.00257),
    simclr_bissl=dict(lr=0.05706, weight_decay=0.00412),
    byol_bissl=dict(lr=0.06221, weight_decay=0.00317),
    first_version=dict(lr=0.035, weight_decay=0.00658),
    first_version_bissl=dict(lr=0.028, weight_decay=0.00453),
)
