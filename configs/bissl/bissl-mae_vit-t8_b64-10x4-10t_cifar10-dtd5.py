# Stages 2 and 3 on two cores: MAE on unlabeled CIFAR-10 images with five
# texture classes of DTD.
#   python tools/train.py \
#       configs/bissl/bissl-mae_vit-t8_b64-10x4-10t_cifar10-dtd5.py
_base_ = [
    '../_base_/lower/mae_vit-t8_cifar10-48px.py',
    '../_base_/upper/classification_vit-t8_dtd5-48px.py',
    '../_base_/schedules/bissl_r18_10t.py',
    '../_base_/bissl_runtime.py',
]

# MAE's position embedding is fixed and its last norm serves the decoder; the
# classifier has a norm of its own behind the average.
model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/mae_vit-t8_b64-20e_cifar10-48px/epoch_20.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    backbone_map=dict(
        frozen='fix', unmapped_lower=['backbone.ln1'], unmapped_upper=['backbone.ln2']
    ),
)

train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
optim_wrapper = dict(
    lower=dict(
        optimizer=dict(
            _delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05
        ),
        paramwise_cfg=_base_.pretext_paramwise_cfg,
    ),
    upper=dict(
        constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.75),
    ),
)
