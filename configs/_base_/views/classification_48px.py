# See tasks/_classification.py.
crop = dict(type='RandomResizedCrop', crop_ratio_range=(0.5, 1.0), backend='pillow')
edge = dict(type='ResizeEdge', edge='short', backend='pillow')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(crop, scale=48),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(edge, scale=55),
    dict(type='CenterCrop', crop_size=48),
    dict(type='PackInputs'),
]
