# Stages 2 and 3 from public SimCLR weights, Oxford Pets at 224 px (C.6 of the
# paper): T = 200, N_U = 4, N_L = 10, batch 1024 at the lower level.
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-pets-224px.py 8
# It starts from the run that trained the projection head; here the backbone
# is trained again. What C.6 does not name is as at 96 px (4.2.2, Table 6).
_base_ = [
    '../_base_/lower/simclr_r50_in1k-224px.py',
    '../_base_/upper/classification_r50_pets-224px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
]

# Batch statistics over all processes, so that any number of them computes what
# one does. The paper is silent; the released runs, on 4 processes, have those
# of each process in this stage (256 pretext and 64 downstream images):
# model.sync_norms=False.
model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r50_head_8xb128-20e_in1k-224px/epoch_20.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    sync_norms=True,
)

train_cfg = dict(
    num_alternations=200,
    num_lower_steps=10,
    num_upper_steps=4,
    pretext_dataloader=_base_.pretext_dataloader,
)
# Warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[
        dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=100),
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False, begin=100),
    ]
)
