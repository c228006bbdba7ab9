# Oxford-IIIT Pets. It has no validation part: a fifth of each class is set
# aside (B.1, B.2).
# The batch is that of all processes together, any number that divides it.
# The last batch of an epoch is kept, as in the released runs (the paper is
# silent); it is 4% of Pets. The bilevel stage takes full batches only, by its own
# rule (B.4).
images = dict(
    type='OxfordIIITPet',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DATA_DIR:data}}/Oxford-IIIT_Pets',
)
trainval = dict(
    type='bissl_mm.StratifiedPart', dataset=dict(images, split='trainval'), share=0.8
)
train_dataloader = dict(
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=trainval,
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(trainval, complement=True),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(images, split='test'),
)
