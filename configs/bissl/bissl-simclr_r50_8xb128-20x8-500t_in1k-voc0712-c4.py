# Stages 2 and 3 of the paper, SimCLR on ImageNet with
# VOC07+12 detection by Faster R-CNN C4 (B.7):
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-voc0712-c4.py 8
# Learning rate and weight decay of the upper level: those of the authors'
# released run of this task; the paper prints none.
_base_ = [
    '../_base_/lower/simclr_r50_in1k-96px.py',
    '../_base_/upper/faster-rcnn_r50-c4_voc0712-320px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    # The last stage of the backbone is the detector's shared head.
    backbone_map=dict(
        rules=[
            ('backbone.layer4', 'roi_head.shared_head.layer4'),
            ('backbone', 'backbone'),
        ]
    ),
    # Batch norms of both levels count over all processes, so that any number
    # of them computes what one does. The released runs: False, statistics of
    # each process (4 of them); MoCo's recipe for detection synchronises.
    sync_norms=True,
)

# Five warm-up passes (B.7).
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=dict(num_epochs=5)
)
optim_wrapper = dict(upper=dict(optimizer=dict(lr=0.015, weight_decay=0.0)))
