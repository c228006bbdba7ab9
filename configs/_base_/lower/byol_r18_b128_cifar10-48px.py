# The same with the batch of the pretraining.
_base_ = 'byol_r18_cifar10-48px.py'

pretext_dataloader = dict(batch_size=128)
