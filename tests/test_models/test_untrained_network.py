"""What the solvers reach on an untrained network."""

import pytest
import torch
from mmpretrain.structures import DataSample
from small_models import classifier_cfg, simclr_cfg

from bissl_mm.hypergradient import (
    CGSolver,
    GaussNewton,
    Hessian,
    LayerwiseCGSolver,
    MinresSolver,
    RecyclingSolver,
    implicit_operator,
    relative_residual,
)
from bissl_mm.hypergradient.linalg.vectors import cosine, dot
from bissl_mm.models import BiSSLModel, pretext_closure
from bissl_mm.models.losses.functional import loss_with_state
from bissl_mm.models.losses.outputs import pretext_outputs_closure

REG_WEIGHT, DAMPING = 0.001, 10.0


@pytest.fixture(scope='module')
def system():
    """A narrow ResNet-18 under SimCLR, its batch, and v of a classifier."""
    torch.manual_seed(1)
    model = BiSSLModel(simclr_cfg(), classifier_cfg(num_classes=5))
    model.init_weights()
    model.double().train()
    model.copy_backbone_to_upper()
    data = dict(
        inputs=[torch.randn(8, 3, 24, 24).double() for _ in range(2)], data_samples=None
    )
    labeled = dict(
        inputs=torch.randn(8, 3, 24, 24).double(),
        data_samples=[DataSample().set_gt_label(i % 5) for i in range(8)],
    )
    params = model.lower_backbone()
    v = torch.autograd.grad(
        loss_with_state(model.downstream, model.upper_state_at_lower(), labeled), params
    )
    operator = implicit_operator(
        Hessian([pretext_closure(model.pretext, data, 0)], params), REG_WEIGHT, DAMPING
    )
    return model, data, operator, v


def test_the_published_solver_is_far_off(system):
    _, _, operator, v = system
    solution = LayerwiseCGSolver().solve(operator, v)
    assert relative_residual(operator, solution.value, v) > 10


@pytest.mark.parametrize(
    'solver', [MinresSolver(max_iters=10), RecyclingSolver(max_iters=10)], ids=repr
)
def test_the_smallest_residual_still_points_along_v(solver, system):
    _, _, operator, v = system
    solution = solver.solve(operator, v)
    found = relative_residual(operator, solution.value, v)
    assert found < 0.8
    assert solution.residual_norm == pytest.approx(found, rel=1e-6)
    assert dot(v, solution.value) > 0
    assert cosine(v, solution.value) > 0.5
    assert solution.min_curvature < 0


def test_gauss_newton_has_no_negative_curvature(system):
    model, data, _, v = system
    operator = implicit_operator(
        GaussNewton(
            [pretext_outputs_closure(model.pretext, data, 0)], model.lower_backbone()
        ),
        REG_WEIGHT,
        DAMPING,
    )
    solution = CGSolver(max_iters=20, tolerance=0.01).solve(operator, v)
    assert solution.min_curvature >= 1 - 1e-12
    assert relative_residual(operator, solution.value, v) < 1
    assert dot(v, solution.value) > 0
