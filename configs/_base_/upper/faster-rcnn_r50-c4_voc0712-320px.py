# Faster R-CNN C4 on VOC07+12, longest edge 196 to 320, AP50 (B.7).
_base_ = '../models/faster-rcnn_r50-c4.py'

data_root = '{{$BISSL_DATA_DIR:data}}/VOCdevkit/'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=[(196, 196), (320, 320)],
        keep_ratio=True,
        resize_type='Resize'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]


# A fifth of the training data is set aside for validation (B.1): every fifth
# image of 07 and of 12 trainval. Tested on 07 test.
years = ((2007, 5011), (2012, 11540))
train_dataloader = dict(
    total_batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='ConcatDataset',
        _scope_='mmdet',
        # Without it mmdet refuses to join the two years.
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type='VOCDataset',
                data_root=data_root,
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
                indices=[i for i in range(number) if i % 5 != 4],
                pipeline=train_pipeline) for year, number in years
        ]))
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        _scope_='mmdet',
        # Without it mmdet refuses to join the two years.
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type='VOCDataset',
                data_root=data_root,
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
                indices=[i for i in range(number) if i % 5 == 4],
                test_mode=True,
                pipeline=test_pipeline) for year, number in years
        ]))
test_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VOCDataset',
        _scope_='mmdet',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        test_mode=True,
        pipeline=test_pipeline))
val_evaluator = dict(
    type='VOCMetric', _scope_='mmdet', metric='mAP', eval_mode='area')
test_evaluator = dict(
    type='VOCMetric', _scope_='mmdet', metric='mAP', eval_mode='area')
val_cfg = dict()
test_cfg = dict()
