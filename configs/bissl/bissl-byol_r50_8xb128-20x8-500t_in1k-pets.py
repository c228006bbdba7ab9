# Stages 2 and 3 of the paper, BYOL on ImageNet with Oxford Pets (4.2.2):
#   tools/dist_train.sh \
#       configs/bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-pets.py 8
# The figures of the upper level are those of Table 6.
_base_ = [
    '../_base_/lower/byol_r50_in1k-96px.py',
    '../_base_/upper/classification_r50_pets-96px.py',
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
    pretrained='work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    sync_norms=True,
)

train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
optim_wrapper = dict(upper=dict(optimizer=dict(lr=0.02, weight_decay=0.002)))
