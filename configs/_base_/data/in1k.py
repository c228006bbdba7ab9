# ImageNet's training images. The batch is that of all processes together
# (4.2.1); any number that divides it may share it.
pretext_dataloader = dict(
    total_batch_size=1024,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='ImageNet',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DATA_DIR:data}}/imagenet',
        split='train',
    ),
)
