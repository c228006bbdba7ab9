"""Regularizers against automatic differentiation and solved lower levels."""

import pytest
import torch

from bissl_mm.hypergradient import (
    CGSolver,
    DenseSolver,
    ElasticDistance,
    Hessian,
    IdentitySolver,
    LearnedDistance,
    ScheduledDistance,
    SquaredDistance,
    TruncatedCGSolver,
    WeightedDistance,
    implicit_jacobian_product,
    implicit_operator,
    materialize,
)
from bissl_mm.hypergradient.operators.base import Identity, Operator, Scaled
from bissl_mm.hypergradient.operators.block_diagonal import BlockDiagonal
from bissl_mm.hypergradient.regularizers.base import Pull, Regularizer

SIZE = 5


class Diagonal(Operator):
    """A positive diagonal matrix."""

    is_positive_definite = True

    def __init__(self, values):
        self.values = values

    def __call__(self, vectors):
        return (self.values * vectors[0],)

    def inverse(self, vectors):
        return (vectors[0] / self.values,)


class Weighted(Regularizer):
    r"""r = 1/2 (theta_P - M theta_D)^T W (theta_P - M theta_D), with a weight
    that grows: a general quadratic one, written outside the package."""

    def __init__(self, weight, diagonal, mixing):
        super().__init__(weight)
        self._diagonal, self._mixing = diagonal, mixing
        self._most = weight

    def begin_alternation(self, index, total):
        self.weight = self._most * (index + 1) / total

    def value(self, lower, upper):
        rest = lower[0] - self._mixing @ upper[0]
        return 0.5 * (self._diagonal * rest.square()).sum()

    def add_gradient_(self, grads, lower, upper):
        rest = lower[0] - self._mixing @ upper[0]
        slope = self.weight * self._diagonal * rest
        grads[0].add_(slope)
        return Pull(self.weight * self.value(lower, upper), rest.norm(), slope.norm())

    def metric(self, lower, upper):
        return Diagonal(self._diagonal)

    def cross(self, vectors, lower, upper):
        return (self._mixing.T @ (self._diagonal * vectors[0]),)


def draw(*shape, seed):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


#: A regularizer is one row.
REGULARIZERS = {
    'squared distance': lambda: SquaredDistance(0.3),
    'scheduled': lambda: ScheduledDistance('cosine_increase', 0.5, 0.1),
    'learned': lambda: LearnedDistance(0.3, damping=0.0),
    'weighted': lambda: WeightedDistance(0.3, factors={'a': 0.2}),
    'elastic': lambda: ElasticDistance(0.3, 0.4, 0.3, {'a': 2.0}),
    'general quadratic': lambda: Weighted(
        0.3, draw(SIZE, seed=0).abs() + 0.5, draw(SIZE, SIZE, seed=1)
    ),
}


@pytest.fixture(params=REGULARIZERS)
def regularizer(request):
    made = REGULARIZERS[request.param]()
    made.begin_alternation(1, 4)
    return made


def value_of(regularizer, lower, upper):
    if isinstance(regularizer, Weighted):
        return regularizer.weight * regularizer.value(lower, upper)
    ((p,), (d,)), factor = (lower, upper), 1.0
    value = 0.5 * (p - d).square().sum()
    if isinstance(regularizer, ElasticDistance):
        value = value + 0.4 * (((p - d).square() + 0.09).sqrt() - 0.3).sum()
        factor = 2.0
    elif isinstance(regularizer, WeightedDistance):
        factor = 0.2
    return regularizer.weight * factor * value


def test_gradient_equals_automatic_differentiation(regularizer):
    lower = (draw(SIZE, seed=2).requires_grad_(),)
    regularizer.tie(['layer4.a'], lower)
    upper = (draw(SIZE, seed=3),)
    value = value_of(regularizer, lower, upper)
    (expected,) = torch.autograd.grad(value, lower)
    grads = [torch.ones(SIZE).double()]
    with torch.no_grad():
        pull = regularizer.add_gradient_(grads, lower, upper)
    torch.testing.assert_close(grads[0], expected + 1)
    torch.testing.assert_close(pull.value, value.detach())
    torch.testing.assert_close(pull.length, expected.norm())


def test_metric_and_cross_are_second_derivatives(regularizer):
    lower = (draw(SIZE, seed=2).requires_grad_(),)
    regularizer.tie(['layer4.a'], lower)
    upper = (draw(SIZE, seed=3).requires_grad_(),)
    value = value_of(regularizer, lower, upper) / regularizer.weight
    (slope,) = torch.autograd.grad(value, lower, create_graph=True)
    rows = [torch.autograd.grad(s, (*lower, *upper), retain_graph=True) for s in slope]
    matrix = torch.stack([row[0] for row in rows])
    mixed = torch.stack([row[1] for row in rows])
    torch.testing.assert_close(
        materialize(regularizer.metric(lower, upper), lower), matrix
    )
    vector = (draw(SIZE, seed=4),)
    torch.testing.assert_close(
        regularizer.cross(vector, lower, upper)[0], -mixed.T @ vector[0]
    )


def test_hypergradient_is_that_of_the_solved_lower_level(regularizer):
    """A convex lower level, its solution derived as a function."""
    factor = draw(SIZE, SIZE, seed=5)
    curvature = factor @ factor.T / SIZE
    minimum, target = draw(SIZE, seed=6), draw(SIZE, seed=7)
    upper = (draw(SIZE, seed=8).requires_grad_(),)

    def total(x, d):
        return 0.5 * (x - minimum) @ curvature @ (x - minimum) + value_of(
            regularizer, (x,), (d,)
        )

    # Newton's method, whose last step is derived.
    solved = draw(SIZE, seed=9)
    for _ in range(30):
        point = solved.detach().requires_grad_()
        (slope,) = torch.autograd.grad(total(point, upper[0]), point, create_graph=True)
        matrix = torch.autograd.functional.hessian(
            lambda x: total(x, upper[0]), point.detach()
        )
        solved = point.detach() - torch.linalg.solve(matrix, slope)
    assert slope.norm() < 1e-12
    objective = 0.5 * (solved - target).square().sum()
    (expected,) = torch.autograd.grad(objective, upper)

    theta = (solved.detach().requires_grad_(),)
    regularizer.tie(['layer4.a'], theta)
    hessian = Hessian(
        [lambda: 0.5 * (theta[0] - minimum) @ curvature @ (theta[0] - minimum)], theta
    )
    operator = implicit_operator(
        hessian, regularizer.weight, metric=regularizer.metric(theta, upper)
    )
    solution = implicit_jacobian_product(
        ((solved - target).detach(),),
        CGSolver(50, 1e-13).bind(operator),
        cross=lambda v: regularizer.cross(v, theta, upper),
    )
    assert (solution.value[0] - expected).norm() <= 1e-9 * expected.norm()


class Negative(Operator):
    """Has negative curvature in every direction."""

    def __call__(self, vectors):
        return tuple(-1e4 * v for v in vectors)


@pytest.mark.parametrize(
    'solver',
    [
        pytest.param(IdentitySolver(), id='v itself'),
        # Their first direction has negative curvature.
        pytest.param(CGSolver(3), id='cg'),
        pytest.param(TruncatedCGSolver(3), id='truncated cg'),
    ],
)
def test_v_itself_is_the_limit_of_a_large_damping(regularizer, solver):
    lower, upper = (draw(SIZE, seed=2).requires_grad_(),), (draw(SIZE, seed=3),)
    regularizer.tie(['layer4.a'], lower)
    v, metric = (draw(SIZE, seed=4),), regularizer.metric(lower, upper)
    factor = draw(SIZE, SIZE, seed=5)
    hessian = Hessian([lambda: 0.5 * lower[0] @ (factor @ factor.T) @ lower[0]], lower)

    def product(solver, curvature, damping):
        operator = implicit_operator(curvature, regularizer.weight, damping, metric)
        return implicit_jacobian_product(
            v, solver.bind(operator), cross=lambda x: regularizer.cross(x, lower, upper)
        )

    expected = product(DenseSolver(), hessian, 1e12).value[0]
    found = product(solver, Negative(), 1.0)
    torch.testing.assert_close(found.value[0], expected, atol=1e-9, rtol=1e-9)
    if isinstance(solver, IdentitySolver):
        return
    # Of the system itself, in the unknowns before the regularizer's factors.
    (x,) = metric.limit(v)
    rest = v[0] - metric((x,))[0] + 1e4 / (regularizer.weight + 1.0) * x
    assert found.residual_norm == pytest.approx((rest.norm() / v[0].norm()).item())


def test_v_itself_leaves_out_what_is_not_tied():
    lower = [torch.zeros(2), torch.zeros(2), torch.zeros(2)]
    made = WeightedDistance(0.5, {'b': 0.0, 'c': 10.0})
    made.tie(['a', 'b', 'c'], lower)
    metric = made.metric(lower, lower)
    v = tuple(torch.tensor([1.0, -2.0]) for _ in lower)
    operator = implicit_operator(Scaled(2.0, Identity()), 0.5, metric=metric)
    found = implicit_jacobian_product(
        v, IdentitySolver().bind(operator), cross=lambda x: made.cross(x, lower, lower)
    )
    expected = (v[0], torch.zeros(2), v[2])
    assert all(torch.equal(a, b) for a, b in zip(found.value, expected, strict=True))
    head = BlockDiagonal(metric, 3, 0.0).limit((*v, torch.zeros(4)))
    assert torch.equal(head[3], torch.zeros(4))


def test_factors_go_by_name():
    names = ['stem.weight', 'layer4.0.bn1.weight', 'layer4.0.conv.weight']
    theta = [torch.zeros(2, requires_grad=True) for _ in names]
    made = WeightedDistance(0.5, {r'\.bn\d': 0.0, 'layer4': 0.1})
    made.tie(names, theta)
    grads = [torch.zeros(2) for _ in names]
    upper = [torch.ones(2) for _ in names]
    made.add_gradient_(grads, theta, upper)
    assert [g[0].item() for g in grads] == pytest.approx([-0.5, 0.0, -0.05])
    # Some parameters, in another order, as in a system over a part of them.
    metric = made.metric(theta[:0:-1], upper[:0:-1])
    assert not metric.is_positive_definite
    (first, second) = metric((torch.ones(2), torch.ones(2)))
    assert (first[0].item(), second[0].item()) == pytest.approx((0.1, 0.0))
    for names_of_others in (['a', 'b', 'c'], ['bn1', 'layer4.bn1', 'layer3']):
        with pytest.raises(
            ValueError, match='applies to no tensor of the lower backbone'
        ):
            made.tie(names_of_others, theta)
    with pytest.raises(RuntimeError, match='tie.. was not called'):
        made.metric(upper, upper)


@pytest.mark.parametrize(
    'make, words',
    [
        (lambda: WeightedDistance(0.1, {'(': 1.0}), 'not a regular expression'),
        (lambda: WeightedDistance(0.1, 'bn'), "factors must be a dict, but is 'bn'"),
        (lambda: WeightedDistance(0.1, {3: 1.0}), 'factors has 3, which is not text'),
        (lambda: WeightedDistance(0.1, {'a': -1.0}), r"factors\['a'\] must be a num"),
        (lambda: ElasticDistance(0.1, smoothing=0.0), 'smoothing must be above 0'),
        (lambda: ElasticDistance(0.1, l1=-1.0), 'l1 must be a number'),
    ],
)
def test_bad_distances_are_refused(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


@pytest.mark.parametrize('weight', [1e-5, 0.02, 3.0])
@pytest.mark.parametrize('damping', [0.0, 10.0])
def test_gradient_of_a_learned_weight_is_that_of_the_solved_lower_level(
    weight, damping
):
    """(5.6) of the thesis; damping divides the gradient without damping."""
    factor = draw(SIZE, SIZE, seed=5)
    curvature = factor @ factor.T / SIZE + torch.eye(SIZE).double()
    minimum, target, theta_d = (draw(SIZE, seed=s) for s in (6, 7, 8))
    made = LearnedDistance(weight, damping)
    assert made.weight == pytest.approx(weight, rel=1e-6)
    ((_, raw),) = made.named_parameters()
    raw = raw.detach().double().requires_grad_()
    sigma = torch.nn.functional.softplus(raw)
    matrix = curvature + sigma * torch.eye(SIZE).double()
    solved = torch.linalg.solve(matrix, curvature @ minimum + sigma * theta_d)
    (expected,) = torch.autograd.grad(0.5 * (solved - target).square().sum(), raw)

    solved, scale = solved.detach(), sigma.item()
    v_ij = scale * torch.linalg.solve(matrix.detach(), solved - target)
    (grad,) = made.upper_gradients((solved,), (theta_d,), (v_ij,)).values()
    expected = expected * scale / (scale + damping)
    assert grad.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    'schedule, alpha, share',
    [
        # Values at t = 1 of T = 5, by hand from 5.2.1 of the thesis.
        ('cosine_decay', 10.0, 0.8535533905932737),
        ('cosine_increase', 10.0, 0.14644660940672624),
        ('exponential_increase', 1.0, 0.3499320087587727),
        ('exponential_increase', 10.0, 0.9179566765447413),
        ('exponential_increase', 100.0, 0.9999999999861121),
    ],
)
def test_schedules_of_the_thesis(schedule, alpha, share):
    made = ScheduledDistance(schedule, 0.3, 1e-8, alpha)
    weights = made.weights(5)
    ends = (0.3, 1e-8) if schedule == 'cosine_decay' else (1e-8, 0.3)
    assert (weights[0], weights[-1]) == pytest.approx(ends, rel=1e-9)
    assert weights[1] == pytest.approx(1e-8 + (0.3 - 1e-8) * share, rel=1e-9)
    assert weights == sorted(weights, reverse=schedule == 'cosine_decay')
    assert made.weights(1) == [ends[0]]
    # Looking ahead changes nothing.
    made.begin_alternation(2, 5)
    assert made.weights(5) == weights and made.weight == weights[2]


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(weight=0.0), 'weight must be above 0'),
        (dict(weight=-1.0), 'weight must be a number of at least 0'),
        (dict(weight=1e-46), 'weight is 1e-46, which torch.float32 cannot hold'),
        (dict(weight=1e39), r'weight is 1e\+39, which torch.float32 cannot hold'),
        (dict(damping=-1.0), 'damping must be a number of at least 0'),
        (dict(lr=float('inf')), 'lr must be a number'),
    ],
)
def test_bad_learned_weights_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        LearnedDistance(**settings)


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(schedule='cosine'), "'cosine', but must be one of"),
        (dict(max_weight=1e-9), 'max_weight=1e-09 is less than min_weight=1e-08'),
        (dict(max_weight=-1.0), 'max_weight must be a number of at least 0'),
        (dict(alpha=0.0), 'alpha must be above 0'),
        (dict(min_weight=float('nan')), 'min_weight must be a number'),
    ],
)
def test_bad_schedules_are_refused(change, words):
    settings = {**dict(schedule='cosine_decay', max_weight=0.1), **change}
    with pytest.raises(ValueError, match=words):
        ScheduledDistance(**settings)


@pytest.mark.parametrize(
    'given, words',
    [
        ((), 'ScheduledDistance lacks schedule, max_weight. Write dict'),
        (('cosine_decay',), r'ScheduledDistance lacks max_weight.*max_weight=\.\.\.\)'),
    ],
)
def test_missing_arguments_are_named(given, words):
    with pytest.raises(TypeError, match=words):
        ScheduledDistance(*given)
