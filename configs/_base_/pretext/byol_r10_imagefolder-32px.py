# BYOL with a ResNet of 307,000 weights at 32 px over any folder of images.
_base_ = ['../data/image_folder_decoded-32px.py', '../models/byol.py']

pretext_model = dict(
    # 0.9995 remembers two thousand steps, half of a run of a hundred epochs.
    target_decay=0.99,
    data_preprocessor=dict(_delete_=True, **_base_.two_views),
    backbone=dict(type='bissl_mm.SmallResNet'),
    neck=dict(in_channels=128, out_channels=128, num_layers=2),
    head=dict(predictor=dict(in_channels=128, out_channels=128, num_layers=2)),
)
