# Linear classifier on ResNet-18: five texture classes, 200 labeled images.
_base_ = 'classification_r18_cifar10-48px.py'

data_root = '{{$BISSL_DATA_DIR:data}}/dtd5'
train_dataloader = dict(batch_size=40, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(head=dict(num_classes=5))
