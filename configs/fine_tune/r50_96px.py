# Stage 4 of the paper, fine-tuning of ResNet-50 (4.2.1, B.2, B.7), by default on
# Oxford Pets from SimCLR's pretraining (Table 5):
#   python tools/train.py configs/fine_tune/r50_96px.py
# Other arms have another checkpoint and, of Pets, another learning rate and weight
# decay. After BYOL (Table 5), after SimCLR with BiSSL and after BYOL with BiSSL
# (Table 7):
#   export BISSL_CHECKPOINT=work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth
#   python tools/train.py configs/fine_tune/r50_96px.py \
#       --cfg-options optim_wrapper.optimizer.lr=0.0044 \
#       optim_wrapper.optimizer.weight_decay=0.00779
#   STAGE=work_dirs/bissl-simclr_r50_8xb128-20x8-500t_in1k-96px_pets
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/fine_tune/r50_96px.py \
#       --cfg-options optim_wrapper.optimizer.lr=0.00153 \
#       optim_wrapper.optimizer.weight_decay=0.00314
#   STAGE=work_dirs/bissl-byol_r50_8xb128-20x8-500t_in1k-96px_pets
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/fine_tune/r50_96px.py \
#       --cfg-options optim_wrapper.optimizer.lr=0.00042 \
#       optim_wrapper.optimizer.weight_decay=0.00002
# Detection and segmentation: --task voc0712-c4, voc0712-fcn16, voc12aug-fcn16 or
# cityscapes-fcn16, for example
#   tools/dist_train.sh configs/fine_tune/r50_96px.py 8 --task voc0712-c4
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r50_96px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'
# The task's epochs, search and libraries.
globals().update(_base_.fine_tune)
if 'simclr' in _base_.get('tuned', ()):
    # After SimCLR (Table 5). The file of the task has those of the other arms.
    optim_wrapper = dict(optimizer=_base_.tuned.simclr)
    search = dict(_base_.fine_tune.search, found='Tables 5 and 7')

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels

checkpoint = (
    '{{$BISSL_CHECKPOINT:work_dirs/simclr_r50_8xb128-500e_in1k-96px/epoch_500.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
if 'shared_head' in model.get('roi_head', ()):
    # The last stage is in the shared head, which reads the same file.
    model.roi_head.shared_head.init_cfg = init_cfg
