"""What ``upper_phase.py`` compares: settings of the hypergradient, by name."""

#: Name -> settings of BiSSLOptimWrapper. What RecyclingSolver stops at is in
#: part estimated, so it is asked for a fifth less than what is to be shown.
#: 'matched' is four fifths of the baseline's own residual.
VARIANTS = {
    'published': dict(solver=dict(type='LayerwiseCGSolver')),
    'cg': dict(solver=dict(type='CGSolver', max_iters=5)),
    'minres': dict(solver=dict(type='MinresSolver', tolerance=0.1)),
    'recycling': dict(solver=dict(type='RecyclingSolver', tolerance=0.08)),
    'recycling-matched': dict(solver=dict(type='RecyclingSolver', tolerance='matched')),
    # Less memory: two vectors for each product that is kept.
    'recycling-basis4': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08, max_basis=4)
    ),
    'matched-basis4': dict(
        solver=dict(type='RecyclingSolver', tolerance='matched', max_basis=4)
    ),
    'recycling-bf16': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), dtype='bfloat16'
    ),
    'half-batch': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), batch_size='half'
    ),
    # What serves speed only, switched off piece by piece: docs/switches.md.
    'recycling-known': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08, extrapolate=False)
    ),
    'recycling-torch': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), second_order='torch'
    ),
    'recycling-plain': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), small_image_kernels=False
    ),
    'matched-known': dict(
        solver=dict(type='RecyclingSolver', tolerance='matched', extrapolate=False)
    ),
    # The same with five products a step, which are most of the phase then.
    'published-torch-conv': dict(
        solver=dict(type='LayerwiseCGSolver'), without='lean_conv'
    ),
    'published-torch-norm': dict(
        solver=dict(type='LayerwiseCGSolver'), without='lean_batch_norm'
    ),
    'published-plain': dict(
        solver=dict(type='LayerwiseCGSolver'), small_image_kernels=False
    ),
    'published-bf16': dict(solver=dict(type='LayerwiseCGSolver'), dtype='bfloat16'),
    'published-tf32': dict(solver=dict(type='LayerwiseCGSolver'), dtype='tf32'),
    # For networks that are smooth throughout.
    'differences': dict(solver=dict(type='LayerwiseCGSolver'), curvature='differences'),
    'differences-matched': dict(
        solver=dict(type='RecyclingSolver', tolerance='matched'),
        curvature='differences',
    ),
    'differences-recycling': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), curvature='differences'
    ),
    'norms': dict(solver=dict(type='RecyclingSolver', tolerance=0.08), params='norm'),
}
