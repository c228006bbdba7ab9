# The arms of Table 3 on your own folders of images, with a small ResNet at 32 px; a
# study of some minutes to hours on two cores:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/with/train/val/test BISSL_NUM_CLASSES=17
#   python tools/experiment.py run configs/experiments/own_folders.py
title = 'The arms on folders of images, 32 px'
settings = dict(
    pretext='../pretext/simclr_r10_b256-60e_imagefolder-32px.py',
    bilevel='../bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py',
    fine_tune='../fine_tune/r10_32px.py',
)
tasks = ['imagefolder-32px']
arms = [
    'FT',
    'Random initialization',
    'Linear probing',
    'Zero head',
    'NoisyTune',
    'Data mix',
    'Weighted sum',
    'IJ discarded',
    'Further pretraining',
    'Training twice',
    'BiSSL+FT',
]
search = dict(settings=8)
seeds = 5
