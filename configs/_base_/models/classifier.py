# A linear classifier. The task gives the number of classes, the leaf the network
# (networks/), whose features are averaged.
downstream = dict(
    type='ImageClassifier',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    head=dict(
        type='LinearClsHead', loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)
val_cfg = dict()
test_cfg = dict()

backbone_map = None
head_warmup = dict(num_epochs=20)
# Of the upper level, by pretext task, where a task has none: those of Pets (Table 6;
# of the first version: Table 3).
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001),
    byol=dict(lr=0.02, weight_decay=0.002),
    first_version=dict(lr=0.03, weight_decay=0.005),
)
