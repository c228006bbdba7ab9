# Stages 2 and 3 of the paper, MAE on ImageNet with Oxford Pets (B.8):
#   tools/dist_train.sh \
#       configs/bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-pets.py 8
# The paper gives no upper-level figures for MAE: learning rate and weight decay
# are those of SimCLR (Table 6). With the layer decay of B.8 the patch embedding
# learns at 0.03 * 0.75^13 = 0.0007, which on SGD, unlike on AdamW, nothing makes
# up for: search optim_wrapper.upper.optimizer.lr before trusting a result.
_base_ = [
    '../_base_/lower/mae_vit-s8_in1k-96px.py',
    '../_base_/upper/classification_vit-s8_pets-96px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
]

# MAE's position embedding is fixed and its last norm serves the decoder; the
# classifier has a norm of its own behind the average.
model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/mae_vit-s8_8xb128-500e_in1k-96px/epoch_500.pth',
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
