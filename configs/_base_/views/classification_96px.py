# Random crops for training, the middle for evaluation (4.2.1, B.2), at 96 px.
# Pillow's bilinear resizing averages where it shrinks, as torchvision's on PIL
# images (Bardes et al., whom 4.2.1 follows) and as that of the pretext side;
# cv2's, mmpretrain's default, leaves 11% more contrast at a quarter.
crop = dict(type='RandomResizedCrop', crop_ratio_range=(0.5, 1.0), backend='pillow')
edge = dict(type='ResizeEdge', edge='short', backend='pillow')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(crop, scale=96),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(edge, scale=109),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]
