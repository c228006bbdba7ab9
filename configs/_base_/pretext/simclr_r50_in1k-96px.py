# SimCLR on ImageNet at 96 px as in 4.2.1 of the paper.
_base_ = ['../data/in1k.py', '../views/two_views_96px.py', '../models/simclr.py']

pretext_dataloader = dict(dataset=dict(pipeline=_base_.pretext_pipeline))
pretext_model = dict(
    # As the published code: each view has its own batch statistics.
    separate_views=True,
    backbone=dict(depth=50),
    neck=dict(in_channels=2048),
)
