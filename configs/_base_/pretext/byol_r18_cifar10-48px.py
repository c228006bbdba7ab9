# BYOL with ResNet-18 at 48 px on unlabeled CIFAR-10 images, for two cores.
_base_ = ['../data/image_folder.py', '../views/two_views_48px.py', '../models/byol.py']

pretext_dataloader = dict(
    dataset=dict(
        data_root='{{$BISSL_DATA_DIR:data}}/cifar10_unlabeled',
        data_prefix='images',
        pipeline=_base_.pretext_pipeline,
    )
)
# 0.9995 remembers two thousand steps, more than a run of minutes has.
pretext_model = dict(
    target_decay=0.99, backbone=dict(depth=18), neck=dict(in_channels=512)
)
