# PASCAL VOC 2007, which of 20 classes an image has (4.1): 11-point mAP. The parts are
# its own (B.1).
# As in the authors' released runs, the loss is softmax cross entropy with as many
# targets as the image has classes, and difficult objects count. Binary cross
# entropy, with scores by the sigmoid (the bilevel stage has model.downstream.head):
#   --cfg-options model.head.type=MultiLabelLinearClsHead \
#       model.head.loss.use_soft=False model.head.loss.use_sigmoid=True
# VOC's own rule, by which an image with difficult objects alone counts neither way:
#   --cfg-options val_evaluator.difficult=ignored test_evaluator.difficult=ignored
_base_ = ['_classification.py', '../models/classifier.py']
networks = ('r18_96px', 'r50_96px', 'vit-s8_96px', 'r50_224px')

images = dict(type='MultiLabelDataset', data_root='{{$BISSL_DATA_DIR:data}}/voc07')
train_dataloader = dict(dataset=dict(images, ann_file='meta/train.json'))
val_dataloader = dict(dataset=dict(images, ann_file='meta/val.json'))
test_dataloader = dict(dataset=dict(images, ann_file='meta/test.json'))
val_evaluator = dict(_delete_=True, type='bissl_mm.VOC07Metric', difficult='positive')
test_evaluator = dict(_delete_=True, type='bissl_mm.VOC07Metric', difficult='positive')
downstream = dict(
    data_preprocessor=dict(to_onehot=True, num_classes=20),
    head=dict(num_classes=20, loss=dict(use_soft=True)),
)

# Table 6; of the first version: Table 3.
upper = dict(
    simclr=dict(lr=0.015, weight_decay=0.005),
    byol=dict(lr=0.005, weight_decay=0.006),
    first_version=dict(lr=0.03, weight_decay=0.006),
)
# Tables 5 and 7; of the first version: Tables 2 and 4.
tuned = dict(
    simclr=dict(lr=0.0054, weight_decay=0.0089),
    byol=dict(lr=0.0032, weight_decay=0.00616),
    simclr_bissl=dict(lr=0.00022, weight_decay=0.00592),
    byol_bissl=dict(lr=0.00029, weight_decay=0.004),
    first_version=dict(lr=0.0108, weight_decay=0.00894),
    first_version_bissl=dict(lr=0.0004, weight_decay=0.00003),
)
fine_tune = dict(
    search=dict(metric='voc07/mAP'),
    default_hooks=dict(checkpoint=dict(save_best='voc07/mAP')),
)
