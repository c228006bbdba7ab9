# Oxford-IIIT Pets at 224 px for public weights (C.6 of the paper, which names
# 244 px once, in its text on fine-tuning; title and table say 224).
_base_ = [
    '../data/pets.py',
    '../views/classification_224px.py',
    '../models/classifier.py',
]
networks = ('r50_224px',)

train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.train_pipeline)))
val_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.test_pipeline)))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
val_evaluator = dict(topk=(1, 5))
test_evaluator = dict(topk=(1, 5))
# Pixels from 0 to 1, see pretext/simclr_r50_in1k-224px.py.
downstream = dict(
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0]),
    head=dict(num_classes=37, topk=(1, 5)),
)

# C.6, with the ranges and seeds of B.2. It searches 25 pairs of learning rate and
# weight decay and does not print the best ones: those of 96 px stand here as
# place-holders (Table 5).
fine_tune = dict(
    custom_imports=dict(imports=['bissl_mm.models', 'bissl_mm.datasets']),
    search=dict(settings=25, seeds=10),
    train_cfg=dict(max_epochs=400, val_interval=1),
    optim_wrapper=dict(optimizer=dict(lr=0.0378, weight_decay=0.00114)),
    param_scheduler=dict(end=400),
    default_hooks=dict(
        checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
    ),
)
