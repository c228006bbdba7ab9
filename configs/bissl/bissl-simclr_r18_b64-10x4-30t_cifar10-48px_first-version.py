# The small stage with the settings of the paper's first version: gamma = 0.01, K = 5
# batches of the Hessian, adaptation by alpha = 0.1, here every fifth alternation.
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-30t_cifar10-48px_first-version.py
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

train_cfg = dict(backbone_adaptation=dict(interval=5, alpha=0.1))
optim_wrapper = dict(
    direct_weight=0.01,
    hypergradient=dict(
        batches='first',
        num_batches=5,
        damping=10.0,
        solver=dict(_delete_=True, type='LayerwiseCGSolver', max_iters=5),
        check_residual='random',
    ),
)
