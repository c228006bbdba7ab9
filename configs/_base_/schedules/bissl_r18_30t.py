# A bilevel stage of some twelve minutes on one core: that of the small ResNet, with the
# learning rate of the lower level scaled to batches of 64.
_base_ = 'bissl_r10_30t.py'

optim_wrapper = dict(lower=dict(optimizer=dict(lr=0.075)))
