# Cityscapes, fine annotations, segmentation by FCN-16, short side 192: mIoU (B.7).
_base_ = ['../data/segmentation_192px.py', '../models/fcn16.py']
networks = ('r50_96px',)


def images(part, pipeline):
    return dict(
        type='CityscapesDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
        data_prefix=dict(img_path=f'leftImg8bit/{part}', seg_map_path=f'gtFine/{part}'),
        pipeline=pipeline,
    )


# A fifth of every city's training images, drawn at random, is set aside for
# validation (B.1). Tested on val.
part = dict(type='bissl_mm.StratifiedPart', by='folder', share=0.8, seed=0)
train_dataloader = dict(
    dataset=dict(part, dataset=images('train', _base_.train_pipeline))
)
val_dataloader = dict(
    dataset=dict(part, complement=True, dataset=images('train', _base_.test_pipeline))
)
test_dataloader = dict(dataset=images('val', _base_.test_pipeline))
downstream = dict(decode_head=dict(num_classes=19))
