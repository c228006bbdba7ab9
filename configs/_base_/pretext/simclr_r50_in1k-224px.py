# SimCLR on ImageNet at 224 px (C.6 of the paper): the views of 4.2.1 at the
# larger size, the model of 4.2.1 with other pixel values.
_base_ = ['../data/in1k.py', '../models/simclr.py']

pretext_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='bissl_mm.SimCLRViews', size=224, min_scale=0.5),
            dict(type='PackInputs'),
        ]
    )
)
# The official SimCLR weights were trained on pixels from 0 to 1 and hold the
# running statistics of those. The paper is silent on it. For releases trained
# on normalised pixels (MoCo, Barlow Twins, torchvision, ...) set here and in
# the two leaves at 224 px mean=[123.675, 116.28, 103.53] and
# std=[58.395, 57.12, 57.375].
pretext_model = dict(
    separate_views=True,
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0]),
    backbone=dict(depth=50),
    neck=dict(in_channels=2048),
)
