# The setting of the published paper: SimCLR, ResNet-50, ImageNet at 96 px (4.2).
settings = dict(
    pretext='../pretext/simclr_r50_8xb128-500e_in1k-96px.py',
    bilevel='../bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py',
    fine_tune='../fine_tune/r50_96px.py',
)
processes = dict(pretrain=8, stage=4)
hours = (
    '1464 GPU hours of pretraining on A100, 83 of a bilevel stage on A40, 1 to 9 of '
    'a fine-tuning on A40 (C.1)'
)
