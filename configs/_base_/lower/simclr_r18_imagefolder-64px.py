# The same over any folder of images; labels and sub-folders are not read.
_base_ = 'simclr_r18_cifar10-64px.py'

pretext_dataloader = dict(
    batch_size=64,
    dataset=dict(
        data_root='{{$BISSL_PRETEXT_DIR:data/pretext}}', data_prefix=''))
