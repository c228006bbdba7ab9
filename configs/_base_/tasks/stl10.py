# STL-10 (4.1 of the first version): accuracy. A fifth of its training part
# validates (B.1).
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}/stl10'
images = dict(data_root=root, classes=f'{root}/meta/classes.txt')
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)
downstream = dict(head=dict(num_classes=10))

# Table 3 of the first version.
upper = dict(first_version=dict(lr=0.015, weight_decay=0.01))
# Tables 2 and 4 of the first version.
tuned = dict(
    first_version=dict(lr=0.0136, weight_decay=0.001),
    first_version_bissl=dict(lr=0.0008, weight_decay=0.00641),
)
