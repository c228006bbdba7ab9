# STL-10. It has no validation part: a fifth of each class is set aside (B.1 of the
# first version). Of the last batch and the numbers see pets.py.
images = dict(
    type='CustomDataset',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DATA_DIR:data}}/stl10',
)
trainval = dict(
    type='bissl_mm.StratifiedPart', dataset=dict(images, data_prefix='train'), share=0.8
)
loader = dict(num_workers=8, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    total_batch_size=256,
    drop_last=False,
    dataset=trainval,
    persistent_workers=True,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    loader,
    batch_size=256,
    persistent_workers=True,
    dataset=dict(trainval, complement=True),
)
test_dataloader = dict(loader, batch_size=256, dataset=dict(images, data_prefix='test'))
