# A folder of images, read without labels; for two cores. Which folder, the
# pretext side says.
pretext_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(type='CustomDataset', _scope_='mmpretrain', with_label=False),
)
