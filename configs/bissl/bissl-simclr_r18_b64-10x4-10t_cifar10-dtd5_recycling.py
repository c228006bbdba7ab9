# The stage whose linear system is solved: at the paper's damping of 10
# its solver left residuals above 1 on networks that are still learning
# (benchmarks/README.md); at 100 some three products a step solve it.
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-dtd5_recycling.py
_base_ = 'bissl-simclr_r18_b64-10x4-10t_cifar10-dtd5.py'

optim_wrapper = dict(
    hypergradient=dict(
        damping=100.0, solver=dict(_delete_=True, type='RecyclingSolver', tolerance=0.1)
    )
)
