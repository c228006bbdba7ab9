# SimCLR on ImageNet at 224 px (C.6 of the paper): the views of 4.2.1 at the
# larger size, the model of 4.2.1 with other pixel values.
_base_ = 'simclr_r50_in1k-96px.py'

common_view = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.5, 1.0),
        interpolation='bicubic',
        backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=[
            dict(
                type='ColorJitter',
                brightness=0.4,
                contrast=0.4,
                saturation=0.2,
                hue=0.1)
        ],
        prob=0.8),
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989)),
]
first_view = common_view + [
    dict(
        type='GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=1.0),
]
second_view = common_view + [
    dict(
        type='GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=0.1),
    dict(type='Solarize', thr=128, prob=0.2),
]

pretext_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='MultiView',
                num_views=[1, 1],
                transforms=[first_view, second_view]),
            dict(type='PackInputs'),
        ]))

# The official SimCLR weights were trained on pixels from 0 to 1 and hold the
# running statistics of those. The paper is silent on it. For releases trained
# on normalised pixels (MoCo, Barlow Twins, torchvision, ...) set here and in
# classification_r50_pets-224px.py mean=[123.675, 116.28, 103.53] and
# std=[58.395, 57.12, 57.375].
pretext_model = dict(
    data_preprocessor=dict(mean=[0., 0., 0.], std=[255., 255., 255.]))
