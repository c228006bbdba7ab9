"""Two processes with different data against one process on all the data."""

import copy

import dense_models
import pretext_models
import pytest
import torch
from dist_pool import Collectives
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from small_models import build, classifier_cfg, simclr_cfg, views
from test_first_order import PartlyUsed, decayed_wrapper
from torch.nn.modules.batchnorm import BatchNorm2d

from bissl_mm.engine import BiSSLOptimWrapper, distributed, mean_over_ranks
from bissl_mm.engine.distributed import CPUDistributedDataParallel, average_
from bissl_mm.engine.steps.reached import average_reached_, drop_zeros_, fill_
from bissl_mm.hypergradient import GaussNewton, Hessian
from bissl_mm.hypergradient.linalg.vectors import dot
from bissl_mm.models import (
    BiSSLModel,
    DifferentiableSyncBatchNorm,
    pretext_closure,
    pretext_outputs_closure,
)

pytestmark = pytest.mark.dist
NORM = 'bissl_mm.DifferentiableSyncBN'


def part(tensor, rank, world):
    """This rank's share of a batch; all of it in one process."""
    size = len(tensor) // world
    return tensor[rank * size : (rank + 1) * size]


def direction(params):
    generator = torch.Generator().manual_seed(5)
    return tuple(
        torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in params
    )


def derivatives(model, data, params, has_convex_loss=True):
    """Gradient, Hessian-vector and, if there is one, Gauss-Newton product."""
    closure = pretext_closure(model, data, 0)
    gradient = mean_over_ranks(torch.autograd.grad(closure(), params))
    operators = [Hessian([closure], params, mean_over_ranks=mean_over_ranks)]
    if has_convex_loss:
        outputs = pretext_outputs_closure(model, data, 0)
        operators.append(
            GaussNewton([outputs], params, mean_over_ranks=mean_over_ranks)
        )
    return [
        [t.tolist() for t in vector]
        for vector in (gradient, *(o(direction(params)) for o in operators))
    ]


def simclr_derivatives(rank, world, separate_views):
    model = build(simclr_cfg(norm=NORM, separate_views=separate_views))
    inputs = [part(v, rank, world) for v in views(8)]
    params = tuple(model.parameters())
    return derivatives(model, dict(inputs=inputs, data_samples=None), params)


def pretext_derivatives(rank, world, kind):
    """The same for another pretext task, in double precision."""
    MessageHub.get_current_instance().update_info('max_iters', 100)
    init_default_scope('mmpretrain')
    cfg = dense_models.with_norm(pretext_models.METHODS[kind][0](), NORM)
    model = build(cfg).train()
    with torch.no_grad():
        for param in model.parameters():
            if not param.requires_grad:
                # Make target networks differ from the weights that they follow.
                param.add_(0.02 * torch.randn_like(param))
    inputs = [part(v, rank, world) for v in views(8)]
    noise = part(torch.rand(8, 9), rank, world)
    if kind == 'MAE':
        inputs = inputs[0]
    params = tuple(p for p in model.parameters() if p.requires_grad)
    with pytest.MonkeyPatch.context() as patch:
        # The same patches are masked, whichever rank has the image.
        patch.setattr(torch, 'rand', lambda *args, **kwargs: noise)
        return derivatives(
            model,
            dict(inputs=inputs, data_samples=None),
            params,
            kind not in ('VICReg', 'DINO'),
        )


def as_vector(nested):
    return torch.cat([torch.tensor(t, dtype=torch.float64).flatten() for t in nested])


def relative_error(actual, expected):
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize('separate_views', [False, True])
def test_gradient_and_product_equal_one_process(pool, separate_views):
    expected = [as_vector(x) for x in simclr_derivatives(0, 1, separate_views)]
    results = pool.run(simclr_derivatives, separate_views)
    for result in results:
        for actual, reference in zip(result, expected, strict=True):
            assert relative_error(as_vector(actual), reference) <= 1e-10
    assert results[0] == results[1]


def simclr_derivatives_as_under_nccl(rank, world):
    """The same by the branch that torch takes under NCCL, over gloo."""
    try:
        torch.distributed.reduce_scatter(torch.zeros(1), [torch.zeros(1)] * world)
    except RuntimeError as error:
        return str(error)
    with pytest.MonkeyPatch.context() as patch, Collectives() as counted:
        nccl = torch.distributed.Backend.NCCL
        patch.setattr(torch.distributed, 'get_backend', lambda group=None: nccl)
        # mmengine would move everything to a GPU.
        patch.setattr(
            'mmengine.dist.dist.get_comm_device', lambda group: torch.device('cpu')
        )
        found = simclr_derivatives(rank, world, True)
    return found, counted.found['reduce_scatter_'], counted.found['alltoall_']


def test_the_branch_that_torch_takes_under_nccl_alone(pool):
    expected = [as_vector(x) for x in simclr_derivatives(0, 1, True)]
    for result in pool.run(simclr_derivatives_as_under_nccl):
        if isinstance(result, str):
            pytest.skip(f'gloo of this torch: {result}')
        found, scattered, exchanged = result
        assert scattered > 0 and exchanged == 0
        for actual, reference in zip(found, expected, strict=True):
            assert relative_error(as_vector(actual), reference) <= 1e-10


@pytest.mark.parametrize(
    'kind',
    [
        *('BYOL', 'MAE'),
        *(
            pytest.param(kind, marks=pytest.mark.whole)
            for kind in ('SimSiam', 'Barlow Twins', 'MoCo v2', 'VICReg', 'DINO')
        ),
    ],
)
def test_other_pretext_tasks_equal_one_process(kind, pool):
    expected = [as_vector(x) for x in pretext_derivatives(0, 1, kind)]
    results = pool.run(pretext_derivatives, kind)
    for result in results:
        for actual, reference in zip(result, expected, strict=True):
            assert relative_error(as_vector(actual), reference) <= 1e-10
    assert results[0] == results[1]


#: Settings of the wrapper, and what ranks may differ by from one process.
VARIANTS = {
    'published': (dict(), 1e-10),
    'pretext head': (dict(hypergradient=dict(pretext_head=True)), 1e-10),
    'regularized head': (
        dict(hypergradient=dict(pretext_head=True, head_weight=0.3)),
        1e-10,
    ),
    'first version': (
        dict(direct_weight=0.01, hypergradient=dict(num_batches=2, batches='first')),
        1e-10,
    ),
    'scheduled lambda': (
        dict(
            regularizer=dict(
                type='ScheduledDistance',
                schedule='cosine_increase',
                max_weight=0.3,
                min_weight=0.01,
            )
        ),
        1e-10,
    ),
    'elastic': (dict(regularizer=dict(type='ElasticDistance', weight=0.1)), 1e-10),
    'fisher': (
        dict(regularizer=dict(type='FisherDistance', weight=0.1, steps=1)),
        1e-10,
    ),
    # Its lambda is in single precision.
    'learned lambda': (
        dict(regularizer=dict(type='LearnedDistance', weight=0.1, damping=0.0)),
        1e-7,
    ),
    # Rounding of a gradient over the step.
    'differences': (dict(hypergradient=dict(curvature='differences')), 1e-5),
    'low rank': (
        dict(hypergradient=dict(solver=dict(type='LowRankSolver', rank=3))),
        1e-9,
    ),
    'empirical Fisher': (
        dict(
            hypergradient=dict(
                curvature='fisher', num_batches=2, solver=dict(type='LowRankSolver')
            )
        ),
        1e-9,
    ),
    'LoRA': (dict(model=dict(lora=dict(rank=2))), 1e-9),
    # One step has no product.
    'unrolled': (dict(hypergradient=dict(unrolled_steps=2)), 1e-9),
}
#: What the others are built from; the others run with the whole tests.
QUICK = ('published', 'pretext head', 'learned lambda', 'differences')


def bissl_steps(rank, world, variant):
    """A lower and an upper step; gradients of the latter, then weights."""
    pretext = build(simclr_cfg(norm=NORM))
    downstream = build(classifier_cfg(NORM), seed=3)
    change, _ = VARIANTS[variant]
    model = BiSSLModel(pretext, downstream, **change.get('model', {}))
    wrappers = {
        name: OptimWrapper(
            torch.optim.SGD(part_.parameters(), lr=0.1), clip_grad=dict(max_norm=10.0)
        )
        for name, part_ in (
            ('lower', pretext),
            ('upper', downstream),
            ('head_warmup', downstream),
        )
    }
    # The Hessian is indefinite, where CG would stop at v itself.
    system = dict(damping=1.0, solver=dict(type='MinresSolver', max_iters=4))
    system.update(change.get('hypergradient', {}))
    wrapper = BiSSLOptimWrapper(
        **wrappers,
        regularizer=change.get('regularizer', dict(weight=0.1)),
        direct_weight=change.get('direct_weight', 1.0),
        hypergradient=system,
    )
    model.pretext.data_preprocessor = Cast()
    model.downstream.data_preprocessor = Cast()
    wrapper.regularizer.tie(model.levels.lower_names, model.levels.theta_p)
    wrapper.regularizer.begin_alternation(1, 3)
    for i in range(max(1, wrapper.system.config.unrolled_steps)):
        batch = [part(v, rank, world) for v in views(8, seed=1 + 100 * i)]
        wrapper.lower_step(model, dict(inputs=batch), seed=rank)
    wrapper.begin_upper_phase(
        model,
        [
            dict(inputs=[part(v, rank, world) for v in views(8, seed=2 + 10 * i)])
            for i in range(wrapper.system.config.num_batches)
        ],
        seed=rank,
    )
    images, _ = views(8, seed=3)
    labels = torch.arange(8) % 3
    batch = dict(
        inputs=part(images, rank, world), data_samples=part(labels, rank, world)
    )
    before = copy.deepcopy(downstream.state_dict())
    found = wrapper.upper_gradient(model, batch, seed=rank)
    grads = {n: g.tolist() for n, g in found.gradients.items()}
    # A solution that is v itself would show nothing of the products.
    assert relative_error(as_vector(found.solution.value), as_vector(found.v)) > 1e-2
    # The running statistics moved, too.
    downstream.load_state_dict(before)
    logs = wrapper.upper_step(model, batch, seed=rank)
    state = {
        k: v.tolist() for k, v in model.state_dict().items() if v.is_floating_point()
    }
    return grads, state, logs['iters'], logs['loss_at_lower']


class Cast(torch.nn.Module):
    """A minimal data preprocessor in double precision."""

    def forward(self, data, training=False):
        if isinstance(data['inputs'], list):
            return dict(inputs=data['inputs'], data_samples=None)
        from mmpretrain.structures import DataSample

        samples = [DataSample().set_gt_label(int(x)) for x in data['data_samples']]
        return dict(inputs=data['inputs'], data_samples=samples)


@pytest.mark.parametrize(
    'variant',
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.whole])
        for name in VARIANTS
    ],
)
def test_hypergradient_and_weights_equal_one_process(variant, pool):
    grads, state, iters, loss = bissl_steps(0, 1, variant)
    assert ('regularizer.raw_weight' in grads) == (variant == 'learned lambda')
    results = pool.run(bissl_steps, variant)
    _, error = VARIANTS[variant]
    expected = as_vector(grads.values())
    for other_grads, other_state, other_iters, other_loss in results:
        assert other_iters == iters
        assert other_loss == pytest.approx(loss, rel=1e-12)
        actual = as_vector(other_grads[k] for k in grads)
        assert relative_error(actual, expected) <= error
        for name, value in state.items():
            torch.testing.assert_close(
                torch.tensor(other_state[name]).double(),
                torch.tensor(value).double(),
                rtol=max(1e-8, error),
                atol=error,
                msg=lambda text: f'{name}: {text}',
            )
    assert results[0] == results[1]


def fisher_steps(rank, world):
    """Factors and lower weights of a run and of a resumed one.

    The last bits of a sum depend on the rank, as on unequal processors.
    """
    found = []
    total = torch.Tensor.sum

    def rounded(x, *args, **kwargs):
        return total(x, *args, **kwargs) * (1 + 1e-12 * rank)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, 'sum', rounded)
        state = None
        for _ in range(2):
            pretext, downstream = build(simclr_cfg(norm=NORM)), build(classifier_cfg())
            model = BiSSLModel(pretext, downstream)
            model.pretext.data_preprocessor = Cast()
            wrapper = pretext_models.sgd_wrapper(
                model, regularizer=dict(type='FisherDistance', weight=0.1, steps=1)
            )
            lower = model.levels.theta_p
            wrapper.regularizer.tie(model.levels.lower_names, lower)
            batch = dict(inputs=[part(v, rank, world) for v in views(8)])
            if state is None:
                wrapper.lower_step(model, batch, seed=rank)
                state = wrapper.state_dict()
            else:
                wrapper.load_state_dict(state)
            factors = wrapper.regularizer.factors(lower)
            wrapper.lower_step(model, batch, seed=rank)
            found.append([[t.tolist() for t in x] for x in (factors, lower)])
    return found


def test_all_ranks_have_the_fisher_factors_of_the_first(pool):
    first, other = pool.run(fisher_steps)
    assert first == other
    assert first[0][0] == first[1][0]
    # Between the limits the mean counts.
    factors = as_vector(first[0][0])
    assert ((factors > 0.1) & (factors < 10)).sum() > 100


class AsIs(torch.nn.Module):
    """A minimal data preprocessor for batches that are ready."""

    def forward(self, data, training=False):
        return data


def dense_steps(rank, world, kind):
    """A lower and an upper step; gradients and weights of the latter."""
    from mmdet.models.task_modules import RandomSampler

    with pytest.MonkeyPatch.context() as patch:
        # Drawing regions image by image does not depend on the batch then.
        patch.setattr(
            RandomSampler, 'random_choice', lambda self, gallery, num: gallery[:num]
        )
        if kind == 'detection':
            model = dense_models.build(
                dense_models.detector_cfg(),
                dense_models.wide_simclr_cfg(),
                backbone_map=dict(rules=dense_models.C4_RULES),
                sync_norms=True,
            )
            dense_models.fix_proposals(model.downstream, patch)
            data = dense_models.detection_batch()
        else:
            model = dense_models.build(
                dense_models.segmentor_cfg(), simclr_cfg(), sync_norms=True
            )
            data = dense_models.segmentation_batch()
        model.pretext.data_preprocessor = AsIs()
        model.downstream.data_preprocessor = AsIs()
        sgd = {
            name: OptimWrapper(
                torch.optim.SGD(level.parameters(), lr=0.01),
                clip_grad=dict(max_norm=10.0),
            )
            for name, level in (
                ('lower', model.pretext),
                ('upper', model.downstream),
                ('head_warmup', model.downstream),
            )
        }
        wrapper = BiSSLOptimWrapper(
            **sgd,
            regularizer=dict(weight=0.1),
            hypergradient=dict(damping=10.0, solver=dict(type='CGSolver', max_iters=2)),
        )
        for step, seed in ((wrapper.lower_step, 1), (wrapper.begin_upper_phase, 2)):
            batch = dict(
                inputs=[part(v, rank, world) for v in views(4, seed=seed)],
                data_samples=None,
            )
            step(model, batch if seed == 1 else [batch], seed=rank)
        mine = {key: part(value, rank, world) for key, value in data.items()}
        logs = wrapper.upper_step(model, mine, seed=rank)
    # The weights themselves are too many to send.
    weights = tuple(model.parameters())
    return (
        [
            dot((p,), (d,)).tolist()
            for p, d in zip(weights, direction(weights), strict=True)
        ],
        logs['loss_at_lower'],
        logs['cosine'],
    )


@pytest.mark.mmcv_ops
@pytest.mark.whole
@pytest.mark.parametrize('kind', ['detection', 'segmentation'])
def test_dense_steps_equal_one_process(kind, pool):
    weights, *logs = dense_steps(0, 1, kind)
    results = pool.run(dense_steps, kind)
    for other_weights, *other_logs in results:
        # mmdet adds 1e-7 to the number of regions that it divides by.
        assert other_logs == pytest.approx(logs, rel=5e-8)
        assert relative_error(as_vector(other_weights), as_vector(weights)) <= 1e-10
    assert results[0] == results[1]


def norm_derivatives(rank, world, kind):
    torch.manual_seed(0)
    layer = (DifferentiableSyncBatchNorm if kind == 'sync' else BatchNorm2d)(3).double()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1.5)
        layer.bias.uniform_(-1, 1)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(6, 3, 2, 2, generator=generator, dtype=torch.float64)
    # Ranks differ in their number of images: 2 and 4.
    begin, end = {(0, 1): (0, 6), (0, 2): (0, 2), (1, 2): (2, 6)}[rank, world]
    mine = inputs[begin:end].requires_grad_()
    out = layer(mine)
    loss = out.pow(3).sum()
    (first,) = torch.autograd.grad(loss, mine, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), mine)
    return (
        out.tolist(),
        first.tolist(),
        second.tolist(),
        layer.running_mean.tolist(),
        layer.running_var.tolist(),
    )


def test_sync_norm_equals_batch_norm_on_the_union(pool):
    expected = norm_derivatives(0, 1, 'plain')
    results = pool.run(norm_derivatives, 'sync')
    for i in range(3):
        joined = results[0][i] + results[1][i]
        torch.testing.assert_close(
            torch.tensor(joined).double(),
            torch.tensor(expected[i]).double(),
            rtol=1e-12,
            atol=1e-13,
        )
    for i in (3, 4):
        for result in results:
            assert result[i] == pytest.approx(expected[i], rel=1e-12)


def wrapped_norm(rank, world):
    """A batch norm as the wrapper of the other stages converts it."""
    images = torch.arange(24.0).view(4, 2, 3)[2 * rank : 2 * rank + 2]
    model = CPUDistributedDataParallel(
        torch.nn.Sequential(torch.nn.BatchNorm1d(2)),
        sync_norms=True,
        broadcast_buffers=False,
    )
    return model(images).tolist(), model.module[0].running_var.tolist()


def test_sync_bn_of_ordinary_stages_holds_on_cpus(pool):
    (first, var), (second, same) = pool.run(wrapped_norm)
    norm = torch.nn.BatchNorm1d(2)
    expected = norm(torch.arange(24.0).view(4, 2, 3))
    torch.testing.assert_close(torch.tensor(first + second), expected)
    assert var == same
    torch.testing.assert_close(torch.tensor(var), norm.running_var)


def mean_of_ranks(rank, world):
    """Means of three tensors of 24 bytes, one of 32 and an empty one."""
    given = (
        torch.full((2, 3), float(rank)),
        torch.full((4,), rank + 1.0, dtype=torch.float64),
        torch.full((3, 2), rank + 1.0).T,
        torch.full((6,), rank + 2.0),
        torch.zeros(0),
    )
    counts = []
    for size in (2**26, 48, 1):
        with pytest.MonkeyPatch.context() as patch, Collectives() as counted:
            patch.setattr(distributed, 'BUCKET_BYTES', size)
            means = mean_over_ranks(given)
        counts.append(sum(counted.found.values()))
        assert given[0].unique().tolist() == [rank]
        assert [m.dtype for m in means] == [t.dtype for t in given]
        assert [m.tolist() for m in means] == [
            [[0.5] * 3] * 2,
            [1.5] * 4,
            [[1.5] * 3] * 2,
            [2.5] * 6,
            [],
        ]
    average_(given)
    assert [t.unique().tolist() for t in given[:4]] == [[0.5], [1.5], [1.5], [2.5]]
    return counts


def test_means_over_ranks_take_one_collective_for_each_bucket(pool):
    for counts in pool.run(mean_of_ranks):
        # By type; then two tensors at a time; then each alone.
        assert counts == [2, 3, 5]


def flags(rank, world):
    """Also where the processes' own group takes tensors of a GPU only."""
    found = [distributed.any_rank(rank == 1), distributed.any_rank(False)]
    made, new_group = [], torch.distributed.new_group

    def counted(**kwargs):
        made.append(kwargs)
        return new_group(**kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.distributed, 'new_group', counted)
        patch.setattr(
            distributed, 'get_comm_device', lambda group: torch.device('cuda')
        )
        found += [distributed.any_rank(rank == 0), distributed.any_rank(False)]
    return found, made


def test_a_flag_of_any_rank(pool):
    # One more group, for the host, is made at most once.
    for found, made in pool.run(flags):
        assert found == [True, False, True, False]
        assert made == [dict(backend='gloo')]


def partly_reached(rank, world):
    """Gradients of a lower step whose loss reaches a parameter on rank 0 alone, and
    of an upper step."""
    torch.manual_seed(0)
    model = BiSSLModel(PartlyUsed(), PartlyUsed())
    model.copy_backbone_to_upper()
    wrapper = decayed_wrapper(model)
    batch = dict(inputs=torch.ones(4, 3) * (1 if rank == 0 else -1))
    _, lower = wrapper.lower_gradient(model, batch, seed=0)
    wrapper.begin_upper_phase(model, [batch], seed=0)
    upper = wrapper.upper_gradient(model, batch, seed=0).gradients
    wrapper.end_upper_phase()
    return [{k: g.numpy() for k, g in level.items()} for level in (lower, upper)]


def test_a_parameter_that_one_rank_reaches_has_a_gradient_on_all(pool):
    first, second = pool.run(partly_reached)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)
        assert (one['head.rare'] != 0).all()
        assert not {'head.idle', 'backbone.idle'} & one.keys()


def reached_with_zeros(rank, world):
    """Names that have a gradient, where rank 0 reaches one parameter more, with a
    gradient of zero."""
    params = {name: torch.nn.Parameter(torch.ones(2)) for name in ('a', 'b', 'c')}
    grads = {'c': torch.full((2,), rank + 1.0)}
    if rank == 0:
        grads['a'] = torch.zeros(2)
    unreached = fill_(grads, params)
    drop_zeros_(grads, average_reached_(grads, unreached, []))
    return {name: grad.tolist() for name, grad in grads.items()}


def test_ranks_agree_on_a_parameter_that_one_reaches_with_a_gradient_of_zero(pool):
    # Otherwise weight decay would move it on that rank alone.
    for found in pool.run(reached_with_zeros):
        assert found == dict(a=[0.0, 0.0], c=[1.5, 1.5])
