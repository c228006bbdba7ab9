# The same without pretext data and without a pretext head (D of the paper): the
# lower level sees the labeled images, without their labels, and its head is fresh.
# The backbone is of this small network, for example that of another stage. No public
# weights fit it: for a ResNet-18 see docs/public_weights.md.
#   export BISSL_DOWNSTREAM_DIR=path/with/train/and/val BISSL_NUM_CLASSES=17
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r10_b64-10x4-30t_imagefolder-32px_downstream-images.py \
#       --cfg-options model.pretrained=path/to/backbone.pth
_base_ = './bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py'

train_cfg = dict(
    pretext_dataloader=dict(
        batch_size=64,
        dataset=dict(
            dataset=dict(data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}/train')
        ),
    )
)
