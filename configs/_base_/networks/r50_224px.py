# ResNet-50 below a linear classifier, at the size of public weights.
_base_ = 'r50_96px.py'

network = dict(name='r50_224px')
