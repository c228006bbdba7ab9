# FCN on a ResNet of 307,000 weights, images within 128 x 96 that are decoded
# once. As FCN-16 with a dilated last stage; of the small network's stem and
# stages an eighth of the edges is left. For any set in mmseg's format with
# img_dir/<part>/*.jpg and ann_dir/<part>/*.png, 255 where no class is;
# benchmarks/evidence/run.py takes other layouts, too.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = ['../data/decoded.py', '../models/fcn16.py']
networks = ('r10_32px',)

# Masks are resized by the nearest pixel, and are compared at this size: images
# of any size cost the same.
at_128px = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(128, 96), keep_ratio=False, backend='pillow'),
    dict(
        type='KeyMapper',
        mapping=dict(img_shape='img_shape'),
        remapping=dict(img_shape='ori_shape'),
        transforms=[],
    ),
]


def decoded(part, **settings):
    return dict(
        type='BaseSegDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream_masks}}',
        metainfo=dict(classes=tuple(map(str, range({{'$BISSL_NUM_CLASSES:10'}})))),
        data_prefix=dict(img_path=f'img_dir/{part}', seg_map_path=f'ann_dir/{part}'),
        **settings,
    )


test_pipeline = [*at_128px, dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        dataset=decoded('train', pipeline=at_128px),
        pipeline=[
            dict(type='RandomFlip', _scope_='mmseg', prob=0.5),
            dict(type='PackSegInputs', _scope_='mmseg'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    dataset=dict(dataset=decoded('val', test_mode=True, pipeline=test_pipeline)),
)
test_dataloader = dict(
    batch_size=32,
    dataset=dict(dataset=decoded('test', test_mode=True, pipeline=test_pipeline)),
)
downstream = dict(
    data_preprocessor=dict(size_divisor=8, test_cfg=dict(size_divisor=8)),
    backbone=dict(
        _delete_=True,
        type='bissl_mm.SmallResNet',
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        in_channels=128,
        in_index=0,
        channels=64,
        num_classes={{'$BISSL_NUM_CLASSES:10'}},
    ),
)

fine_tune = dict(
    custom_imports=dict(
        imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
    ),
    default_scope='mmseg',
    search=dict(metric='mIoU', lr=(0.05, 0.4), weight_decay=(5e-4, 5e-3)),
    train_cfg=dict(max_epochs=8, val_interval=2),
    optim_wrapper=dict(optimizer=dict(lr=0.2), clip_grad=dict(max_norm=10.0)),
    param_scheduler=dict(end=8),
    default_hooks=dict(checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='mIoU')),
)
