# Stages 2 and 3 of the paper, SimCLR on ImageNet with Oxford Pets (4.2.2):
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-pets.py 8
# The paper reports 83 GPU hours on A40; figures of Tables 6 (upper level).
_base_ = [
    '../_base_/lower/simclr_r50_in1k-96px.py',
    '../_base_/upper/classification_r50_pets-96px.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model)

# 8 processes of 32 images: the paper's batch of 256.
train_dataloader = dict(batch_size=32)
train_cfg = dict(
    type='BiSSLTrainLoop',
    pretext_dataloader=_base_.pretext_dataloader,
    num_alternations=500,
    num_lower_steps=20,
    num_upper_steps=8,
    head_warmup=dict(num_epochs=20),
    val_interval=10)

# The published runs use 1.0 at the lower level, not the paper's 4.8.
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    reg_weight=0.001,
    damping=10.0,
    solver=dict(type='LayerwiseCGSolver', max_iters=5),
    lower=dict(
        optimizer=dict(
            type='mmpretrain.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6),
        clip_grad=dict(max_norm=10.0)),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0)))
# The unit is steps of the level: warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[
        dict(
            type='LinearLR',
            start_factor=1e-4,
            by_epoch=False,
            begin=0,
            end=200),
        dict(
            type='CosineAnnealingLR',
            eta_min_ratio=0.001,
            by_epoch=False,
            begin=200),
    ],
    upper=[
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False),
    ])
