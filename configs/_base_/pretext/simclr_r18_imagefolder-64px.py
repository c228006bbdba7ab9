# SimCLR with ResNet-18 at 64 px over any folder of images; labels and
# sub-folders are not read.
# Stronger crops than the paper's: few images need them.
_base_ = ['../data/image_folder.py', '../models/simclr.py']

pretext_dataloader = dict(
    dataset=dict(
        data_root='{{$BISSL_PRETEXT_DIR:data/pretext}}',
        data_prefix='',
        extensions=tuple(
            '.jpg .jpeg .jfif .png .webp .tif .tiff .bmp .ppm .pgm'.split()
        ),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='bissl_mm.SimCLRViews', size=64, min_scale=0.2),
            dict(type='PackInputs'),
        ],
    )
)
pretext_model = dict(backbone=dict(depth=18), neck=dict(in_channels=512))
