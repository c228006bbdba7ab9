# Stage 4 of the paper, the baseline arm: VOC07+12 detection by Faster R-CNN C4.
#   tools/dist_train.sh configs/fine_tune/faster-rcnn-r50-c4-simclr_8xb2-50e_voc0712.py 8
# total_batch_size is this package's: for other launchers of mmdet and mmseg put
# batch_size, the samples of one process, in its place.
# The paper searches 50 pairs of learning rate and weight decay (B.7) and prints
# none: those here are place-holders. tools/compare_arms.py searches.
_base_ = [
    '../_base_/upper/faster-rcnn_r50-c4_voc0712-320px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]
default_scope = 'mmdet'
# Batch norms count over all processes, so that any number of them computes what
# one does; None: each process normalises by its own images.
sync_bn = 'torch'

init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/simclr_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    prefix='backbone.',
)
# conv5 is in the shared head, which reads the same file.
model = dict(
    backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg))
)
search = dict(
    settings=50,
    seeds=10,
    lr=(1e-4, 1e-1),
    weight_decay=(1e-6, 1e-2),
    metric='pascal_voc/mAP',
)
train_cfg = dict(max_epochs=50, val_interval=1)
param_scheduler = dict(end=50)
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=1, save_best='pascal_voc/mAP')
)
