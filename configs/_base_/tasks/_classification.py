# What the classification tasks share: the loaders of lists that
# tools/prepare_dataset.py writes, views at 96 px, accuracy, and the search. Which
# images, the task says; leaves at 224 px have views of their own.
# Random crops for training, the middle for evaluation (4.2.1, B.2). Pillow's
# bilinear resizing averages where it shrinks, as torchvision's on PIL images
# (Bardes et al., whom 4.2.1 follows) and as that of the pretext side; cv2's,
# mmpretrain's default, leaves 11% more contrast at a quarter.
crop = dict(type='RandomResizedCrop', crop_ratio_range=(0.5, 1.0), backend='pillow')
edge = dict(type='ResizeEdge', edge='short', backend='pillow')
# Of VOC2007, gt_label_difficult is for a metric.
pack = dict(type='PackInputs', algorithm_keys=('gt_label_difficult',))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(crop, scale=96),
    dict(type='RandomFlip', prob=0.5),
    pack,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(edge, scale=109),
    dict(type='CenterCrop', crop_size=96),
    pack,
]

# The batch is that of all processes together, any number that divides it.
# The last batch of an epoch is kept, as in the released runs (the paper is silent).
# The bilevel stage takes full batches only, by its own rule (B.4).
images = dict(type='CustomDataset', _scope_='mmpretrain', data_prefix='')
loader = dict(num_workers=8, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(images, ann_file='meta/train.txt', pipeline=train_pipeline),
)
val_dataloader = dict(
    loader,
    batch_size=256,
    persistent_workers=True,
    dataset=dict(images, ann_file='meta/val.txt', pipeline=test_pipeline),
)
test_dataloader = dict(
    loader,
    batch_size=256,
    dataset=dict(images, ann_file='meta/test.txt', pipeline=test_pipeline),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain', topk=(1, 5))
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain', topk=(1, 5))

# B.2. The paper weighs accuracy against validation loss where they disagree; the
# tool takes the best accuracy, an experiment with search.choice='balance' weighs both.
fine_tune = dict(
    custom_imports=dict(imports=['bissl_mm.models']),
    search=dict(settings=100, seeds=10),
    train_cfg=dict(max_epochs=400, val_interval=1),
    param_scheduler=dict(end=400),
    default_hooks=dict(
        checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
    ),
)
