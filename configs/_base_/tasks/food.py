# Food-101 (4.1): accuracy. A fifth of its training part validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/food'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=101))

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001),
    byol=dict(lr=0.035, weight_decay=0.002),
    first_version=dict(lr=0.006, weight_decay=0.01),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0167, weight_decay=0.00613),
    byol=dict(lr=0.0513, weight_decay=0.00147),
    simclr_bissl=dict(lr=0.00059, weight_decay=0.00008),
    byol_bissl=dict(lr=0.00018, weight_decay=0.00019),
    first_version=dict(lr=0.015, weight_decay=0.00699),
    first_version_bissl=dict(lr=0.0202, weight_decay=0.00697),
)
