# SimCLR with ResNet-18 at 48 px on unlabeled CIFAR-10 images, for two cores.
_base_ = [
    '../data/image_folder.py',
    '../views/two_views_48px.py',
    '../models/simclr.py',
]

pretext_dataloader = dict(
    dataset=dict(
        data_root='{{$BISSL_DATA_DIR:data}}/cifar10_unlabeled',
        data_prefix='images',
        pipeline=_base_.pretext_pipeline,
    )
)
pretext_model = dict(backbone=dict(depth=18), neck=dict(in_channels=512))
