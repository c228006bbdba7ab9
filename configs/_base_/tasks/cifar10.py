# CIFAR-10 with 1000 labeled images at 48 px: accuracy.
_base_ = [
    '../data/class_folders.py',
    '../views/classification_48px.py',
    '../models/classifier.py',
]
networks = ('r18_48px', 'r18_64px', 'vit-t8_48px')

images = dict(data_root='{{$BISSL_DATA_DIR:data}}/cifar10_labeled')
train_dataloader = dict(dataset=dict(images, pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(images, pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(images, pipeline=_base_.test_pipeline))
downstream = dict(head=dict(num_classes=10))

fine_tune = dict(
    train_cfg=dict(max_epochs=6, val_interval=2),
    param_scheduler=dict(end=6),
    default_hooks=dict(
        checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
    ),
)
