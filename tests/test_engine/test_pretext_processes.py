"""SimCLR, BYOL and MAE on several processes: the bilevel steps."""

import functools
import hashlib

import pytest
import torch
from dist_pool import Pool
from pretext_models import bissl_model, sgd_wrapper
from small_models import views
from test_two_processes import NORM, as_vector, part, relative_error

from bissl_mm.engine.steps.gradients import FirstOrder
from bissl_mm.hypergradient.linalg.basis import flatten, unflatten
from bissl_mm.models import BiSSLModel

pytestmark = pytest.mark.dist
KINDS = ('SimCLR', 'BYOL', 'MAE')


def pretext_batch(kind, rank, world, size, seed):
    inputs = [part(v, rank, world) for v in views(size, seed=seed)]
    return dict(inputs=inputs[0] if kind == 'MAE' else inputs)


def hypergradient(rank, world, kind, dtype=torch.float32):
    """The gradient of the upper level's backbone."""
    model = bissl_model(kind, dtype, NORM)
    # Above the negative eigenvalues of these untrained networks: conjugate
    # gradients get through, and the system is well conditioned.
    wrapper = sgd_wrapper(model, hypergradient=dict(damping=5000.0))
    noise = part(
        torch.rand(8, 9, generator=torch.Generator().manual_seed(1)), rank, world
    )
    with pytest.MonkeyPatch.context() as patch:
        # The same patches are masked, whichever rank has the image.
        patch.setattr(torch, 'rand', lambda *args, **kwargs: noise)
        wrapper.begin_upper_phase(
            model, [pretext_batch(kind, rank, world, 8, 1)], seed=0
        )
        found = wrapper.upper_gradient(
            model,
            dict(
                inputs=part(views(8, seed=2)[0], rank, world),
                data_samples=part(torch.arange(8) % 3, rank, world),
            ),
            seed=0,
        ).gradients
    return {n: g.tolist() for n, g in found.items() if n.startswith('backbone')}


@functools.cache
def one_process(kind):
    """Names, exact values, values in single precision, and their error."""
    single = hypergradient(0, 1, kind)
    double = hypergradient(0, 1, kind, torch.float64)
    exact, alone = (as_vector(g[n] for n in single) for g in (double, single))
    return list(single), exact, alone, relative_error(alone, exact)


def assert_equals_one_process(result, kind):
    """Rounds no worse than one process, but in another order.

    Both errors are samples of one distribution, whose scale the condition of
    network and system sets.
    """
    names, exact, alone, rounding = one_process(kind)
    found = as_vector(result[n] for n in names)
    assert relative_error(found, exact) <= 10 * rounding
    # If all bits were equal, nothing was divided.
    assert not torch.equal(found, alone)
    assert rounding < 1e-4


@pytest.mark.parametrize('kind', KINDS)
def test_hypergradient_in_single_precision_equals_one_process(kind, pool):
    results = pool.run(hypergradient, kind)
    for result in results:
        assert_equals_one_process(result, kind)
    assert results[0] == results[1]


def weights_after(rank, world, kind, alternations):
    """A digest of all weights and buffers, and how far they moved."""
    # Each process has its own batch statistics. Statistics over all ranks would
    # cost hundreds of messages, and this test shows only that nothing drifts.
    model = bissl_model(kind, torch.float32)
    wrapper = sgd_wrapper(
        model, hypergradient=dict(solver=dict(type='CGSolver', max_iters=1))
    )
    begin = torch.cat([p.detach().flatten() for p in model.parameters()])
    for i in range(alternations):
        wrapper.lower_step(
            model, pretext_batch(kind, rank, world, 8, 3 * i), seed=10 * i + rank
        )
        wrapper.begin_upper_phase(
            model, [pretext_batch(kind, rank, world, 8, 3 * i + 1)], seed=10 * i + rank
        )
        wrapper.upper_step(
            model,
            dict(
                inputs=part(views(8, seed=3 * i + 2)[0], rank, world),
                data_samples=part(torch.arange(8) % 3, rank, world),
            ),
            seed=10 * i + rank,
        )
        wrapper.end_upper_phase()
    end = torch.cat([p.detach().flatten() for p in model.parameters()])
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest(), (end - begin).norm().item()


@pytest.mark.whole
@pytest.mark.parametrize('kind', KINDS)
def test_ranks_stay_bit_identical_over_twenty_alternations(kind, pool):
    (first, moved), (second, _) = pool.run(weights_after, kind, 20)
    assert first == second
    assert moved > 0.1


@pytest.mark.whole
def test_four_processes():
    pool = Pool(4)
    try:
        for kind in ('SimCLR', 'MAE'):
            for result in pool.run(hypergradient, kind):
                assert_equals_one_process(result, kind)
            digests = pool.run(weights_after, kind, 3)
            assert len(set(digests)) == 1
    finally:
        pool.close()


def phase_of_solves(rank, world, solver, options):
    """Iterations and answers of three systems of one upper phase."""
    model = bissl_model('SimCLR', torch.float64, NORM)
    options = dict(options)
    if lora := options.pop('lora', None):
        model = BiSSLModel(model.pretext, model.downstream, lora=lora).train()
    # Above the negative eigenvalues of this untrained network.
    system = sgd_wrapper(
        model,
        hypergradient=dict(
            solver=solver, damping=500.0, check_residual='never', **options
        ),
    ).system
    system.begin(
        model, [pretext_batch('SimCLR', rank, world, 8, 1)], 0, FirstOrder(None, None)
    )
    generator = torch.Generator().manual_seed(5)
    iterations, answers = [], []
    for _ in range(3):
        v = tuple(
            torch.randn(p.shape, generator=generator, dtype=torch.float64)
            for p in model.lower_backbone()
        )
        solution = system.solve(v)
        iterations.append(solution.num_iters)
        answers += [x.flatten() for x in solution.value]
    system.end()
    return iterations, torch.cat(answers).tolist()


@pytest.mark.parametrize(
    'name, options',
    [
        ('LayerwiseCGSolver', {}),
        ('CGSolver', {}),
        ('RecyclingSolver', {}),
        ('TruncatedCGSolver', dict(curvature='gauss_newton')),
        *(
            pytest.param(*row, marks=pytest.mark.whole)
            for row in (
                ('TruncatedCGSolver', {}),
                ('MinresSolver', {}),
                ('NeumannSolver', {}),
                ('LowRankSolver', {}),
                ('RecyclingSolver', dict(params='norm')),
                ('CGSolver', dict(lora=dict(rank=2))),
            )
        ),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else '-'.join(map(str, value.values()))
    ),
)
def test_solvers_go_the_same_way_on_two_processes(name, options, pool):
    solver = dict(type=name)
    if name == 'NeumannSolver':
        solver.update(step_size=0.3)
    if name in ('TruncatedCGSolver', 'MinresSolver', 'RecyclingSolver'):
        solver.update(tolerance=0.005)
    counts, expected = phase_of_solves(0, 1, solver, options)
    results = pool.run(phase_of_solves, solver, options)
    assert results[0] == results[1]
    assert results[0][0] == counts and max(counts) > 1
    # If it were zero, nothing was divided.
    assert 0 < relative_error(as_vector([results[0][1]]), as_vector([expected])) <= 1e-8


def fisher_solution(rank, world):
    """v_IJ with the empirical Fisher matrix of the gradients of two batches."""
    model = bissl_model('SimCLR', torch.float64, NORM)
    system = sgd_wrapper(
        model,
        hypergradient=dict(
            curvature='fisher', damping=0.0, solver=dict(type='LowRankSolver')
        ),
    ).system
    batches = [pretext_batch('SimCLR', rank, world, 8, seed) for seed in (1, 2)]
    system.begin(model, batches, 0, FirstOrder(None, None))
    generator = torch.Generator().manual_seed(5)
    v = tuple(
        torch.randn(p.shape, generator=generator, dtype=torch.float64)
        for p in model.lower_backbone()
    )
    # Without noise of its own, v would be nearly normal to two gradients.
    rows, _ = system.curvature_operator.low_rank()
    size = sum(p.numel() for p in v)
    solution = system.solve(unflatten(next(iter(rows)) + flatten(v) / size, v))
    value = flatten(solution.value).tolist()
    system.end()
    return solution.residual_norm, value


def test_inverse_fisher_products_equal_one_process(pool):
    residual, expected = fisher_solution(0, 1)
    results = pool.run(fisher_solution)
    assert results[0] == results[1] and residual < 1e-8
    error = relative_error(as_vector([results[0][1]]), as_vector([expected]))
    assert 0 < error <= 1e-8


def unrolled_steps(rank, world):
    """The derivative of two lower steps."""
    model = bissl_model('SimCLR', torch.float64, NORM)
    wrapper = sgd_wrapper(model, hypergradient=dict(unrolled_steps=2))
    batches = [pretext_batch('SimCLR', rank, world, 8, seed) for seed in (1, 2)]
    for batch in batches:
        wrapper.lower_step(model, batch, seed=rank)
    wrapper.begin_upper_phase(model, batches, seed=rank)
    generator = torch.Generator().manual_seed(5)
    v = tuple(
        torch.randn(p.shape, generator=generator, dtype=torch.float64)
        for p in model.lower_backbone()
    )
    value = flatten(wrapper.system.solve(v).value).tolist()
    wrapper.end_upper_phase()
    return value


def test_unrolled_steps_equal_one_process(pool):
    expected = unrolled_steps(0, 1)
    results = pool.run(unrolled_steps)
    assert results[0] == results[1]
    error = relative_error(as_vector([results[0]]), as_vector([expected]))
    assert 0 < error <= 1e-8
