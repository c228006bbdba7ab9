# Labeled images that are decoded once, without worker processes; which images, the
# task says.
evaluation = dict(
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(type='bissl_mm.InMemoryDataset'),
)
train_dataloader = dict(
    evaluation, sampler=dict(type='DefaultSampler', shuffle=True), drop_last=False
)
val_dataloader = evaluation
test_dataloader = evaluation
