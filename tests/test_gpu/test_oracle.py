"""Products, solvers and hypergradients against a dense Hessian, by device.

The matrix is made by torch's own double differentiation, in double precision on
the same device. The network is small and has batch norms.
"""

import functools

import pytest
import torch
from pretext_models import sgd_wrapper
from toy import ToyDownstream, ToyPretext

from bissl_mm.hypergradient import LayerwiseCGSolver, Operator
from bissl_mm.models import BiSSLModel

#: The damping makes the system definite: the Hessian has eigenvalues of -100 to 200.
WIDTH, REG_WEIGHT, DAMPING = 3, 0.001, 200.0
#: They solve the system; Layerwise CG has a test of its own.
SOLVERS = [
    dict(type='CGSolver', max_iters=60, tolerance=1e-11),
    dict(type='MinresSolver', max_iters=60, tolerance=1e-11),
    dict(type='RecyclingSolver', max_iters=60, tolerance=1e-11),
    dict(type='TruncatedCGSolver', max_iters=60, tolerance=1e-11),
]
LAYERWISE = dict(type='LayerwiseCGSolver', max_iters=5)


def toy_model(device, dtype=torch.float64) -> BiSSLModel:
    torch.manual_seed(0)
    model = BiSSLModel(ToyPretext(WIDTH), ToyDownstream(5, WIDTH))
    return model.to(device, dtype).train()


def toy_batches(device, dtype=torch.float64) -> tuple[dict, dict]:
    draw = torch.Generator().manual_seed(1)
    views = [
        torch.randn(6, 3, 10, 10, generator=draw, dtype=torch.float64) for _ in range(3)
    ]
    labels = torch.randint(5, (6,), generator=draw).to(device)
    views = [x.to(device, dtype) for x in views]
    return (
        dict(inputs=views[:2], data_samples=None),
        dict(inputs=views[2], data_samples=labels),
    )


def flat(tensors) -> torch.Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


@functools.cache
def dense_hessian(device) -> torch.Tensor:
    """Of the pretext loss in the lower backbone."""
    model = toy_model(device)
    params = model.lower_backbone()
    loss = model.pretext(**toy_batches(device)[0], mode='loss')['loss']
    slope = torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, params, create_graph=True)]
    )
    rows = [flat(torch.autograd.grad(row, params, retain_graph=True)) for row in slope]
    return torch.stack(rows)


def begun(device, dtype=torch.float64, **hypergradient):
    """A model with its optim wrapper at the begin of an upper phase."""
    model = toy_model(device, dtype)
    wrapper = sgd_wrapper(
        model,
        regularizer=dict(weight=REG_WEIGHT),
        hypergradient=dict(damping=DAMPING, check_residual='never', **hypergradient),
    )
    wrapper.begin_upper_phase(model, [toy_batches(device, dtype)[0]], seed=0)
    return model, wrapper


def found_by(device, solver, **hypergradient):
    model, wrapper = begun(device, solver=solver, **hypergradient)
    return wrapper.upper_gradient(model, toy_batches(device)[1], seed=0)


def assert_near(actual, expected, tolerance):
    assert (actual.cpu() - expected.cpu()).norm() <= tolerance * expected.cpu().norm()


@pytest.mark.parametrize(
    'dtype, tolerance', [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=str
)
@pytest.mark.parametrize('second_order', ['lean', 'torch'])
def test_product(device, second_order, dtype, tolerance):
    model, wrapper = begun(device, dtype, second_order=second_order)
    draw = torch.Generator().manual_seed(2)
    vector = tuple(
        torch.randn(p.shape, generator=draw).to(p) for p in model.lower_backbone()
    )
    found = wrapper.system.curvature_operator(vector)
    expected = dense_hessian(device) @ flat(vector).double()
    assert_near(flat(found).double(), expected, tolerance)


@pytest.mark.parametrize('solver', SOLVERS, ids=lambda s: s['type'])
def test_solution_and_hypergradient(device, solver):
    found = found_by(device, solver)
    hessian = dense_hessian(device)
    system = torch.eye(len(hessian)).to(hessian) + hessian / (REG_WEIGHT + DAMPING)
    v = flat(found.v)
    assert_near(flat(found.solution.value), torch.linalg.solve(system, v), 1e-8)
    # The whole gradient: v_IJ, and the term at theta_D beside it.
    model = toy_model(device)
    loss = model.downstream(**toy_batches(device)[1], mode='loss')['loss']
    direct = torch.autograd.grad(loss, model.upper_backbone())
    names = model.levels.upper_names
    assert_near(
        flat([found.gradients[name] for name in names]),
        torch.linalg.solve(system, v) + flat(direct),
        1e-8,
    )


class Dense(Operator):
    """A matrix on lists of tensors."""

    def __init__(self, matrix, like) -> None:
        self.matrix, self.like = matrix, like

    def __call__(self, vectors):
        parts = (self.matrix @ flat(vectors)).split([t.numel() for t in self.like])
        return tuple(p.view_as(t) for p, t in zip(parts, self.like))


def test_published_solver(device):
    found = found_by(device, LAYERWISE)
    v = tuple(t.cpu() for t in found.v)
    hessian = dense_hessian(device).cpu()
    system = torch.eye(len(hessian)).to(hessian) + hessian / (REG_WEIGHT + DAMPING)
    expected = LayerwiseCGSolver(max_iters=5).solve(Dense(system, v), v)
    assert_near(flat(found.solution.value), flat(expected.value), 1e-7)


@pytest.mark.gpu
@pytest.mark.parametrize('solver', [*SOLVERS, LAYERWISE], ids=lambda s: s['type'])
def test_cuda_gives_what_the_cpu_gives(solver):
    ours, theirs = (found_by(device, solver) for device in ('cuda', 'cpu'))
    # Together: the gradient of a bias before a batch norm is 0, up to rounding.
    names = list(theirs.gradients)
    assert list(ours.gradients) == names
    assert_near(
        *(flat([side.gradients[name] for name in names]) for side in (ours, theirs)),
        1e-7,
    )
