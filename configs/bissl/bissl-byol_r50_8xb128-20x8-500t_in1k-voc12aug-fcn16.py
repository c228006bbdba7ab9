# Stages 2 and 3 of the paper, BYOL on ImageNet with
# VOC2012 and SBD segmentation by FCN-16 (B.7):
#   tools/dist_train.sh \
#       configs/bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-voc12aug-fcn16.py 8
# The paper's data are those of ...-voc0712-fcn16.py; these are another set.
# Neither the paper nor the authors' released runs have figures of the upper
# level for segmentation: these are those of Pets (Table 6), whose batch is the
# same.
_base_ = [
    '../_base_/lower/byol_r50_in1k-96px.py',
    '../_base_/upper/fcn16_r50_voc12aug-192px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    # Batch norms of both levels count over all processes, so that any number
    # of them computes what one does. The released runs: False, statistics of
    # each process (4 of them); MoCo's recipe for detection synchronises.
    sync_norms=True,
)

# Five warm-up passes (B.7).
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=dict(num_epochs=5)
)
optim_wrapper = dict(upper=dict(optimizer=dict(lr=0.02, weight_decay=0.002)))
