# VOC07+12 segmentation by FCN-16, short side 192: mIoU (B.7).
#
# The paper says "the combined VOC07+12 dataset" (4.1, 4.3.1, Table 2, B.7) and
# no more; the published code has no segmentation. We read it as in detection:
# VOC's own segmentation lists of both years, trained on train, chosen on val,
# tested on VOC2007 test, the one test list whose masks are public. About half of
# trainval trains then. B.1 can be read otherwise: it names a validation part of
# its own for VOC2007 alone, not for VOC2012, and for the data sets that it does
# not name it has 20%, drawn at random in proportion to the classes. The
# alternative: StratifiedPart(by='rarest_class', share=0.8) on trainval, with
# each image once.
# The lists overlap: VOC2012 has images of VOC2007, some of its test list among
# them, as 2007_*. An image of the test list is left out of val, one of either
# out of train.
# The larger set of He et al. (2020) is voc12aug-fcn16.py.
_base_ = ['../data/segmentation_192px.py', '../models/fcn16.py']
networks = ('r50_96px',)

root = '{{$BISSL_DATA_DIR:data}}/VOCdevkit/VOC'
lists = 'ImageSets/Segmentation'


def images(year, part, pipeline):
    return dict(
        type='PascalVOCDataset',
        data_root=f'{root}{year}',
        ann_file=f'{lists}/{part}.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=pipeline,
    )


def both_years(part, pipeline, without):
    return dict(
        type='bissl_mm.WithoutImages',
        lists=without,
        ignore_prefix='2007_',
        dataset=dict(
            type='ConcatDataset',
            _scope_='mmseg',
            datasets=[images(2007, part, pipeline), images(2012, part, pipeline)],
        ),
    )


test = f'{root}2007/{lists}/test.txt'
vals = [f'{root}2007/{lists}/val.txt', f'{root}2012/{lists}/val.txt']
train_dataloader = dict(
    dataset=both_years('train', _base_.train_pipeline, without=[test, *vals])
)
val_dataloader = dict(dataset=both_years('val', _base_.test_pipeline, without=[test]))
test_dataloader = dict(
    dataset=dict(images(2007, 'test', _base_.test_pipeline), _scope_='mmseg')
)
