# Pretraining with LARS; the leaf says for how long.
# Trust coefficient eta and weight decay of 4.2.1. Nothing is excluded from
# decay and trust ratio, as in the released runs; the paper is silent on it.
# Bardes et al., whose LARS it is, exclude norms and biases: min_decay_dims=2,
# min_trust_dims=2.
_base_ = 'by_epoch.py'

optim_wrapper = dict(
    type='OptimWrapper',
    # At a batch of 1024.
    optimizer=dict(
        type='bissl_mm.LARS', lr=4.8, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
