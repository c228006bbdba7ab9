# Folders train/<class>, val/<class> and test/<class>, for two cores; where they
# are, the task says.
# The last batch of an epoch is kept, as in the released runs (the paper is
# silent). The bilevel stage takes full batches only, by its own rule (B.4).
# Should a single image be left over for it, batch norms take the statistics of
# that image: then set drop_last=True, or another batch size.
train_dataloader = dict(
    batch_size=100,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(type='CustomDataset', _scope_='mmpretrain', data_prefix='train'),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', _scope_='mmpretrain', data_prefix='val'),
)
test_dataloader = dict(
    batch_size=100,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', _scope_='mmpretrain', data_prefix='test'),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
