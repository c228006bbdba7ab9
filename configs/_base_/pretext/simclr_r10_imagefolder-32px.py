# SimCLR with a ResNet of 307,000 weights at 32 px over any folder of images. For
# two cores, or for many small runs.
_base_ = ['../data/image_folder_decoded-32px.py', '../models/simclr.py']

pretext_model = dict(
    data_preprocessor=dict(_delete_=True, **_base_.two_views),
    backbone=dict(type='bissl_mm.SmallResNet'),
    neck=dict(
        in_channels=128,
        hid_channels=128,
        out_channels=64,
        num_layers=2,
        with_bias=False,
        with_last_bias=True,
    ),
)
