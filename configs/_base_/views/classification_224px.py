# In the place of the views at 96 px of tasks/_classification.py.
random_crop = dict(
    type='RandomResizedCrop', crop_ratio_range=(0.5, 1.0), backend='pillow', scale=224
)
packed = dict(type='PackInputs', algorithm_keys=('gt_label_difficult',))
train_224px = [
    dict(type='LoadImageFromFile'),
    random_crop,
    dict(type='RandomFlip', prob=0.5),
    packed,
]
test_224px = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', edge='short', backend='pillow', scale=256),
    dict(type='CenterCrop', crop_size=224),
    packed,
]
