# Stages 2 and 3 from public SimCLR weights, Oxford Pets at 224 px (C.6 of the
# paper): T = 200, N_U = 4, N_L = 10, batch 1024 at the lower level.
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px.py 8
# It starts from the run that trained the projection head; here the backbone
# is trained again. What C.6 does not name is as at 96 px (4.2.2, Table 6).
# Your own folders, of unlabeled images and of classes, from a public file:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/with/train/and/val BISSL_NUM_CLASSES=17
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px.py 8 \
#       --task imagefolder-224px --cfg-options model.pretrained=resnet50-1x.pth
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/networks/r50_224px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/simclr_r50_in1k-224px.py',
    '../_base_/views/classification_224px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
# 224 px in the place of 96, pixels from 0 to 1 (pretext/simclr_r50_in1k-224px.py).
train_dataloader = dict(dataset=dict(pipeline=_base_.train_224px))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_224px))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_224px))
if 'pretext_images' in _base_:
    # Own class folders come with unlabeled images of their own.
    _base_.pretext_dataloader.dataset = dict(
        _base_.pretext_images, pipeline=_base_.pretext_dataloader.dataset.pipeline
    )
_base_.downstream.data_preprocessor.update(mean=[0.0] * 3, std=[255.0] * 3)
# Batch statistics over all processes, so that any number of them computes what
# one does. The paper is silent; the released runs, on 4 processes, have those
# of each process in this stage (256 pretext and 64 downstream images):
# model.sync_norms=False. MoCo's recipe for detection synchronises.
model = dict(
    pretrained='work_dirs/simclr_r50_head_8xb128-20e_in1k-224px/epoch_20.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.backbone_map,
    sync_norms=True,
)
train_cfg = dict(
    num_alternations=200,
    num_lower_steps=10,
    num_upper_steps=4,
    pretext_dataloader=_base_.pretext_dataloader,
    head_warmup=_base_.head_warmup,
)
# Warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=100), dict(_base_.cosine, begin=100)]
)
optim_wrapper = dict(upper=dict(optimizer=_base_.upper.simclr))
