# Segmentation in the paper's size: short side 192, flip (B.7); which images, the
# task says.
# Pillow's bilinear resizing averages where it shrinks, as in classification
# (tasks/_classification.py says why). Masks are resized by the nearest pixel.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True, backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# The labels stay at their own size: mmseg compares there.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    # That of 4.2.1: B.7 has 16 for detection and no other for segmentation.
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)

# The paper searches 50 pairs of learning rate and weight decay (B.7) and prints
# none: those of fine-tuning are place-holders. tools/compare_arms.py searches.
# total_batch_size is this package's: for other launchers of mmdet and mmseg put
# batch_size, the samples of one process, in its place.
fine_tune = dict(
    # The parts of the data alone are this package's.
    custom_imports=dict(imports=['bissl_mm.datasets']),
    default_scope='mmseg',
    # Batch norms count over all processes, so that any number of them computes
    # what one does; None: each process normalises by its own images.
    sync_bn='torch',
    search=dict(
        settings=50, seeds=10, lr=(1e-4, 1e-1), weight_decay=(1e-6, 1e-2), metric='mIoU'
    ),
    train_cfg=dict(max_epochs=50, val_interval=1),
    param_scheduler=dict(end=50),
    default_hooks=dict(
        checkpoint=dict(interval=10, max_keep_ckpts=1, save_best='mIoU')
    ),
)
