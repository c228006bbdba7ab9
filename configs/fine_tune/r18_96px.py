# Fine-tuning of the first version's ResNet-18 at 96 px, by default on STL-10 (4.2.1);
# --task pets for Pets:
#   python tools/train.py configs/fine_tune/r18_96px.py
# After its baseline of 600 epochs (Table 2):
#   BASELINE=work_dirs/simclr_r18_8xb128-600e_stl10-96px
#   export BISSL_CHECKPOINT=$BASELINE/epoch_600.pth
#   python tools/train.py configs/fine_tune/r18_96px.py
# After BiSSL (Table 4):
#   STAGE=work_dirs/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px_stl10
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/fine_tune/r18_96px.py \
#       --cfg-options optim_wrapper.optimizer.lr=0.0008 \
#       optim_wrapper.optimizer.weight_decay=0.00641
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:stl10}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r18_96px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'
# The task's epochs, search and libraries.
globals().update(_base_.fine_tune)
if 'first_version' in _base_.get('tuned', ()):
    # After its baseline (Table 2). The file of the task has those after BiSSL.
    optim_wrapper = dict(optimizer=_base_.tuned.first_version)
    search = dict(_base_.fine_tune.search, settings=200, found='Tables 2 and 4')

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels

checkpoint = (
    '{{$BISSL_CHECKPOINT:work_dirs/simclr_r18_8xb128-500e_stl10-96px/epoch_500.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
