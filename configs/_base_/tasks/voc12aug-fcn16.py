# VOC2012 with the masks of SBD, segmentation by FCN-16, short side 192: mIoU
# (B.7).
#
# NOT the paper's data: the paper has "VOC07+12" (4.1, 4.3.1, B.7), which is
# voc0712-fcn16.py. This is the set of He et al. (2020), whose protocol 4.3.1
# follows: VOC2012 train and SBD without VOC2012 val.
_base_ = ['../data/segmentation_192px.py', '../models/fcn16.py']
networks = ('r50_96px',)


def images(part, masks, pipeline):
    return dict(
        type='PascalVOCDataset',
        data_root='{{$BISSL_DATA_DIR:data}}/VOCdevkit/VOC2012',
        ann_file=f'ImageSets/Segmentation/{part}.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path=masks),
        pipeline=pipeline,
    )


# A fifth of the training data is set aside for validation, at random and of
# every class (B.1; the masks are read at start for that). Tested on val.
def part_of_training(pipeline):
    return dict(
        type='bissl_mm.StratifiedPart',
        by='rarest_class',
        share=0.8,
        seed=0,
        dataset=dict(
            type='ConcatDataset',
            _scope_='mmseg',
            datasets=[
                images('train', 'SegmentationClass', pipeline),
                images('aug', 'SegmentationClassAug', pipeline),
            ],
        ),
    )


train_dataloader = dict(dataset=part_of_training(_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(part_of_training(_base_.test_pipeline), complement=True)
)
test_dataloader = dict(
    dataset=dict(
        images('val', 'SegmentationClass', _base_.test_pipeline), _scope_='mmseg'
    )
)
