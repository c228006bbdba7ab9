# SimCLR on ImageNet at 224 px (C.6 of the paper): the views of 4.2.1 at the
# larger size, the model of 4.2.1 with other pixel values.
_base_ = 'simclr_r50_in1k-96px.py'

pretext_dataloader = _base_.pretext_dataloader
pretext_dataloader.dataset.pipeline[1].transforms[0][0].scale = 224
pretext_dataloader.dataset.pipeline[1].transforms[1][0].scale = 224

# The official SimCLR weights were trained on pixels from 0 to 1 and hold the
# running statistics of those. The paper is silent on it. For releases trained
# on normalised pixels (MoCo, Barlow Twins, torchvision, ...) set here and in
# classification_r50_pets-224px.py mean=[123.675, 116.28, 103.53] and
# std=[58.395, 57.12, 57.375].
pretext_model = dict(
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0])
)
