# ResNet-18 below a linear classifier, at the size of the image folders.
_base_ = 'r18_48px.py'

network = dict(name='r18_64px')
