# The paper's stage whose linear system is solved: at the paper's damping of 10
# its solver left residuals above 1 on networks that are still learning
# (benchmarks/README.md); at 100 some three products a step solve it.
#   bash tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-pets_recycling.py 8
_base_ = 'bissl-simclr_r50_8xb128-20x8-500t_in1k-pets.py'

optim_wrapper = dict(
    hypergradient=dict(
        damping=100.0, solver=dict(_delete_=True, type='RecyclingSolver', tolerance=0.1)
    )
)
