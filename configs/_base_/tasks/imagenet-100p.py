# ImageNet with all of its labels (C.5): accuracy on its own
# validation part, which tests here. C.5 does not say how it was tuned: a fifth of
# the labeled images validates, as for other sets (B.1). With 25 settings, 50 epochs,
# and in the bilevel stage T = 100: --cfg-options train_cfg.num_alternations=100.
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

root = '{{$BISSL_DATA_DIR:data}}'
images = dict(data_root=root, data_prefix='imagenet')
downstream = dict(head=dict(num_classes=1000))
train_dataloader = dict(dataset=dict(images, ann_file='imagenet_100p/meta/train.txt'))
val_dataloader = dict(dataset=dict(images, ann_file='imagenet_100p/meta/val.txt'))
test_dataloader = dict(dataset=dict(images, ann_file='imagenet_100p/meta/test.txt'))
fine_tune = dict(
    search=dict(settings=25),
    train_cfg=dict(max_epochs=50),
    param_scheduler=dict(end=50),
)
