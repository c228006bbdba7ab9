# Stages 2 and 3 with MAE and a small ViT at 32 px on your own folders (see the
# SimCLR config of this size).
#   python tools/train.py \
#       configs/bissl/bissl-mae_vit-p4_b128-10x4-30t_imagefolder-32px.py
_base_ = [
    '../_base_/lower/mae_vit-p4_imagefolder-32px.py',
    '../_base_/upper/classification_vit-p4_imagefolder-32px.py',
    '../_base_/schedules/bissl_r10_30t.py',
    '../_base_/bissl_runtime.py',
]

# MAE's position embedding is fixed and its last norm serves the decoder; the
# classifier has a norm of its own behind the average.
model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/mae_vit-p4_b256-60e_imagefolder-32px/epoch_60.pth',
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
            _delete_=True, type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05
        ),
        paramwise_cfg=_base_.pretext_paramwise_cfg,
    )
)
