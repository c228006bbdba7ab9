# SimCLR with ResNet-18 on STL-10's unlabeled images at 96 px, as in 4.2.1 of the
# paper's first version.
_base_ = ['../data/in1k.py', '../views/two_views_96px.py', '../models/simclr.py']

pretext_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DATA_DIR:data}}/stl10/unlabeled',
        data_prefix='',
        with_label=False,
        pipeline=_base_.pretext_pipeline,
    )
)
pretext_model = dict(
    # As the published code: each view has its own batch statistics.
    separate_views=True,
    backbone=dict(depth=18),
    neck=dict(in_channels=512),
)
