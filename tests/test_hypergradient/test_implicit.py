"""The hypergradient against closed forms."""

import pytest
import torch
import torch.nn.functional as F

from bissl_mm.hypergradient import (
    BlockDiagonal,
    CGSolver,
    DenseSolver,
    Domain,
    HeadBlock,
    Hessian,
    Identity,
    Operator,
    SquaredDistance,
    WithHead,
    implicit_jacobian_product,
    implicit_operator,
    materialize,
    relative_residual,
)

SIZE = 6


def quadratic(seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    centre = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    return root @ root.T, centre


def test_hypergradient_of_a_quadratic_has_its_closed_form():
    r"""L^P = 1/2 (x-a)'H(x-a), L^D = 1/2 (x-b)'C(x-b).

    Then theta_P*(theta_D) = (H + lambda I)^-1 (H a + lambda theta_D), and
    the derivative of L^D(theta_P*(theta_D)) + L^D(theta_D) is taken by
    automatic differentiation through that formula.
    """
    hessian, a = quadratic(0)
    curvature, b = quadratic(1)
    reg_weight = 0.7
    theta_d = quadratic(2)[1].requires_grad_()
    system = hessian + reg_weight * torch.eye(SIZE, dtype=torch.float64)

    def downstream(x):
        return 0.5 * (x - b) @ curvature @ (x - b)

    minimiser = torch.linalg.solve(system, hessian @ a + reg_weight * theta_d)
    objective = downstream(minimiser) + downstream(theta_d)
    (expected,) = torch.autograd.grad(objective, theta_d)

    theta_p = minimiser.detach().requires_grad_()
    v = torch.autograd.grad(downstream(theta_p), theta_p)
    operator = implicit_operator(
        Hessian([lambda: 0.5 * (theta_p - a) @ hessian @ (theta_p - a)], (theta_p,)),
        reg_weight,
    )
    (direct,) = torch.autograd.grad(downstream(theta_d), theta_d)
    for solver in (CGSolver(max_iters=40, tolerance=1e-13), DenseSolver()):
        solution = implicit_jacobian_product(
            v, solver.bind(operator), check_residual=True
        )
        error = (solution.value[0] + direct - expected).norm()
        assert error <= 1e-8 * expected.norm()
        assert solution.true_residual_norm < 1e-10


def test_large_reg_weight_gives_v_itself():
    hessian, a = quadratic(0)
    theta = torch.zeros(SIZE, dtype=torch.float64, requires_grad=True)
    v = (quadratic(3)[1],)
    errors = []
    for reg_weight in (1e2, 1e4, 1e6):
        operator = implicit_operator(
            Hessian([lambda: 0.5 * (theta - a) @ hessian @ (theta - a)], (theta,)),
            reg_weight,
        )
        value = implicit_jacobian_product(
            v, CGSolver(max_iters=20).bind(operator)
        ).value[0]
        errors.append(((value - v[0]).norm() / v[0].norm()).item())
    # The distance falls in proportion to 1 / lambda.
    assert errors[2] < 1e-4
    for coarse, fine in zip(errors, errors[1:]):
        assert 50 < coarse / fine < 200


def test_residual_is_checked_only_on_request():
    theta = torch.ones(3, dtype=torch.float64, requires_grad=True)
    curvature = Hessian([lambda: theta.pow(4).sum()], (theta,))
    v = (torch.ones(3, dtype=torch.float64),)
    bound = CGSolver(max_iters=2).bind(implicit_operator(curvature, 1.0))
    solution = implicit_jacobian_product(v, bound)
    assert solution.true_residual_norm is None
    products = curvature.num_products
    implicit_jacobian_product(v, bound, check_residual=True)
    assert curvature.num_products == 2 * products + 1


@pytest.mark.parametrize('keep_graphs', [True, False])
@pytest.mark.parametrize('pixels', [3, 8])
def test_true_residual_is_that_of_the_exact_operator(keep_graphs, pixels):
    """Also where products are rounded to bfloat16."""
    torch.manual_seed(0)
    x = torch.randn(8, 4, pixels, pixels)
    weights = (torch.randn(4, 4, 3, 3).requires_grad_(),)

    def closure():
        # Of a Hessian without negative eigenvalues.
        return F.conv2d(x, weights[0], padding=1).square().mean()

    v = tuple(torch.randn_like(w) for w in weights)
    rough = implicit_operator(
        Hessian(
            [closure], weights, keep_graphs=keep_graphs, product_dtype=torch.bfloat16
        ),
        0.01,
    )
    solution = implicit_jacobian_product(
        v, CGSolver(max_iters=30, tolerance=1e-3).bind(rough), check_residual=True
    )
    expected = relative_residual(
        implicit_operator(Hessian([closure], weights), 0.01), solution.value, v
    )
    assert solution.true_residual_norm == pytest.approx(expected, rel=1e-2)
    # The rounded operator gives another number.
    assert relative_residual(rough, solution.value, v) != pytest.approx(
        expected, rel=0.1
    )


def test_the_pretext_head_answers_too():
    """Corollary 5.6 of the thesis: (theta_P, phi_P) solve the lower level
    together, and only theta_P is tied to theta_D."""
    generator = torch.Generator().manual_seed(5)
    root = torch.randn(SIZE + 3, SIZE + 3, generator=generator, dtype=torch.float64)
    hessian, centre = root @ root.T, root[0]
    curvature, b = quadratic(1)
    reg_weight = 0.7
    theta_d = quadratic(2)[1].requires_grad_()
    tie = torch.zeros(SIZE + 3, dtype=torch.float64)
    tie[:SIZE] = reg_weight

    def downstream(x):
        return 0.5 * (x - b) @ curvature @ (x - b)

    tied = torch.cat([reg_weight * theta_d, theta_d.new_zeros(3)])
    minimiser = torch.linalg.solve(hessian + torch.diag(tie), hessian @ centre + tied)
    (expected,) = torch.autograd.grad(downstream(minimiser[:SIZE]), theta_d)

    theta = minimiser.detach()[:SIZE].clone().requires_grad_()
    phi = minimiser.detach()[SIZE:].clone().requires_grad_()
    v = torch.autograd.grad(downstream(theta), theta)

    def loss():
        rest = torch.cat([theta, phi]) - centre
        return 0.5 * rest @ hessian @ rest

    def solve(leaves, domain, metric=None):
        operator = implicit_operator(Hessian([loss], leaves), reg_weight, metric=metric)
        bound = CGSolver(max_iters=60, tolerance=1e-13).bind(operator)
        (value,) = implicit_jacobian_product(v, bound, domain=domain).value
        return value

    value = solve(
        (theta, phi), WithHead([True], (phi,)), BlockDiagonal(Identity(), 1, 0.0)
    )
    assert (value - expected).norm() <= 1e-8 * expected.norm()
    # With a fixed head, as published, the hypergradient differs.
    fixed = solve((theta,), Domain([True]))
    assert (fixed - expected).norm() > 1e-2 * expected.norm()
    # With more damping, the head behaves like a fixed one.
    stiff = solve(
        (theta, phi), WithHead([True], (phi,)), BlockDiagonal(Identity(), 1, 1e8)
    )
    assert (stiff - fixed).norm() < 1e-5 * fixed.norm()


def views_loss(theta, phi, first, second):
    """NT-Xent of a small smooth network, temperature 0.5."""
    z = torch.cat([torch.tanh(x @ theta.reshape(5, 4)) for x in (first, second)])
    z = F.normalize(torch.tanh(z @ phi.reshape(4, 3)), dim=1)
    similarity = z @ z.T / 0.5 - 1e9 * torch.eye(len(z), dtype=z.dtype)
    partner = torch.arange(len(z)).roll(len(first))
    return F.cross_entropy(similarity, partner)


class Quadratic:
    """A lower level that is quadratic in (theta, phi), with a coupling."""

    sizes = (SIZE, 3)

    def __init__(self, generator):
        root = torch.randn(SIZE + 3, SIZE + 3, generator=generator, dtype=torch.float64)
        self.hessian, self.centre = root @ root.T, root[0]

    def __call__(self, theta, phi):
        rest = torch.cat([theta, phi]) - self.centre
        return 0.5 * rest @ self.hessian @ rest


class Views:
    sizes = (20, 12)

    def __init__(self, generator):
        first = torch.randn(6, 5, generator=generator, dtype=torch.float64)
        noise = torch.randn(6, 5, generator=generator, dtype=torch.float64)
        self.views = first, first + 0.3 * noise

    def __call__(self, theta, phi):
        return views_loss(theta, phi, *self.views)


@pytest.mark.parametrize('lower_level, error', [(Quadratic, 1e-8), (Views, 1e-6)])
def test_the_upper_level_regularizes_the_pretext_head(lower_level, error):
    """Appendix G of the thesis, against differences of the solved lower level."""
    generator = torch.Generator().manual_seed(11)
    pretext = lower_level(generator)
    size, head_size = pretext.sizes
    reg_weight, head_weight, head_damping = 0.8, 0.6, 0.5
    target, theta_d = torch.randn(2, size, generator=generator, dtype=torch.float64)
    start = torch.randn(head_size, generator=generator, dtype=torch.float64)

    def downstream(x):
        return torch.tanh(x - target).square().sum()

    def lower(omega, upper):
        theta, phi = omega[:size], omega[size:]
        # The damping of the head is that of a term which ties it to its start.
        return (
            pretext(theta, phi)
            + pretext(upper, phi)
            + 0.5 * reg_weight * (theta - upper).square().sum()
            + 0.5 * reg_weight * head_damping * (phi - start).square().sum()
        )

    def solved(upper, omega):
        for _ in range(60):
            at = omega.clone().requires_grad_()
            (slope,) = torch.autograd.grad(lower(at, upper), at)
            bend = torch.autograd.functional.hessian(lambda x: lower(x, upper), omega)
            step = torch.linalg.solve(bend, slope)
            omega = omega - step / max(1.0, step.norm().item())
            if step.norm() < 1e-10:  # The next one would be its square.
                return omega
        raise AssertionError('not solved')

    def objective(upper):
        omega = solved(upper, at_rest)
        return (
            downstream(omega[:size]) + 0.5 * head_weight * omega[size:].square().sum()
        )

    at_rest = solved(theta_d, torch.cat([theta_d, start]))
    theta = at_rest[:size].clone().requires_grad_()
    phi = at_rest[size:].clone().requires_grad_()
    upper = theta_d.clone().requires_grad_()
    v = torch.autograd.grad(downstream(theta), theta)
    at_upper = Hessian([lambda: pretext(upper, phi)], (upper, phi))
    block = HeadBlock(at_upper, (upper,), 1 / reg_weight, head_damping)
    operator = implicit_operator(
        Hessian([lambda: pretext(theta, phi)], (theta, phi)),
        reg_weight,
        metric=BlockDiagonal(Identity(), 1, block),
    )

    def value(cross):
        bound = DenseSolver().bind(operator)
        domain = WithHead([True], (phi,), head_weight)
        return implicit_jacobian_product(v, bound, domain=domain, cross=cross).value[0]

    found = value(lambda x: (x[0] - block.mixed(x[1:])[0],))
    incomplete = value(None)
    for _ in range(3):
        direction = torch.randn(size, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        slopes = [
            (objective(theta_d + h * direction) - objective(theta_d - h * direction))
            / (2 * h)
            for h in (1e-3, 2e-3)
        ]
        # The error of second order cancels.
        slope = (4 * slopes[0] - slopes[1]).item() / 3
        scale = found.norm().item()
        assert abs(found @ direction - slope) <= error * scale
        # The term of the mixed derivative is not small.
        assert abs(incomplete @ direction - slope) > 1e-3 * scale


def test_two_blocks_of_unknowns():
    matrix, _ = quadratic(4)

    class Matrix(Operator):
        is_positive_definite = True

        def __call__(self, vectors):
            return (matrix @ vectors[0],)

    like = (torch.zeros(SIZE).double(), torch.zeros(2).double())
    block = BlockDiagonal(Matrix(), 1, 0.3)
    expected = torch.block_diag(matrix, 0.3 * torch.eye(2).double())
    torch.testing.assert_close(materialize(block, like), expected)
    torch.testing.assert_close(materialize(block.exact, like), expected)
    assert block.is_positive_definite
    assert not BlockDiagonal(Matrix(), 1, 0.0).is_positive_definite


def test_without_the_direct_term_the_upper_level_is_fine_tuning():
    """Lemma E.1 of the thesis: theta_P becomes a stationary point of the
    downstream loss, and theta_D lies where it has to for that."""
    hessian, a = quadratic(0)
    curvature, b = quadratic(1)
    reg_weight = 0.7
    regularizer = SquaredDistance(reg_weight)
    system = hessian + reg_weight * torch.eye(SIZE, dtype=torch.float64)

    def hypergradient(theta_d):
        theta_p = torch.linalg.solve(system, hessian @ a + reg_weight * theta_d)
        theta_p.requires_grad_()
        operator = implicit_operator(
            Hessian(
                [lambda: 0.5 * (theta_p - a) @ hessian @ (theta_p - a)], (theta_p,)
            ),
            reg_weight,
        )
        v = (curvature @ (theta_p.detach() - b),)
        (v_ij,) = implicit_jacobian_product(v, DenseSolver().bind(operator)).value
        return v_ij, theta_p.detach()

    # It is affine in theta_D, so one linear system gives its zero.
    start = quadratic(2)[1]
    at_start, _ = hypergradient(start)
    matrix = torch.stack(
        [
            hypergradient(start + unit)[0] - at_start
            for unit in torch.eye(SIZE, dtype=torch.float64)
        ],
        1,
    )
    theta_d = start - torch.linalg.solve(matrix, at_start)
    v_ij, theta_p = hypergradient(theta_d)
    assert v_ij.norm() < 1e-8 * at_start.norm()
    torch.testing.assert_close(theta_p, b, rtol=1e-6, atol=1e-6)
    slope = hessian @ (b - a)
    torch.testing.assert_close(theta_d, b + slope / reg_weight, rtol=1e-6, atol=1e-6)
    grads = [slope.clone()]
    regularizer.add_gradient_(grads, (theta_p,), (theta_d,))
    assert grads[0].norm() < 1e-6 * slope.norm()
