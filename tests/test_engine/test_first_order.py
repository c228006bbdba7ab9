"""Micro-batches, and gradients in bfloat16."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from pretext_models import Ready, bissl_model, byol, dino, sgd_wrapper, two_views
from small_models import build, classifier_cfg, views
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.utils._python_dispatch import TorchDispatchMode

from bissl_mm.datasets.batch_parts import split
from bissl_mm.engine import BiSSLOptimWrapper, WeightedSumOptimWrapper
from bissl_mm.engine.loop.beforehand import check_parts_of_runner
from bissl_mm.engine.steps.gradients import FirstOrder, part_seed
from bissl_mm.engine.steps.level_optimizers import check_plain
from bissl_mm.hypergradient import Hessian
from bissl_mm.models import BiSSLModel, loss_with_state, pretext_closure
from bissl_mm.utils.errors import RuntimeRefusal


def gradients(dtype=torch.float64, **kwargs):
    """Gradients of one step of the lower level, then of the upper level."""
    model = bissl_model('MAE', dtype)
    wrapper = sgd_wrapper(model, **kwargs)
    images = views(8)[0]
    _, lower = wrapper.lower_gradient(model, dict(inputs=images), seed=5)
    lower = {n: g.clone() for n, g in lower.items()}
    first = wrapper.lower_step(model, dict(inputs=images), seed=5)
    wrapper.begin_upper_phase(model, [dict(inputs=images[:4])], seed=6)
    batch = dict(inputs=images, data_samples=torch.arange(8) % 3)
    upper = wrapper.upper_gradient(model, batch, seed=7).gradients
    second = wrapper.upper_step(model, batch, seed=7)
    return [lower, upper], first, second


@pytest.fixture(scope='module')
def whole():
    return gradients()


@pytest.mark.parametrize('parts', [2, 4])
def test_parts_give_the_gradients_of_the_whole_batch(parts, whole):
    found = gradients(num_micro_batches=dict(lower=parts, upper=parts))
    for level in (0, 1):
        assert found[0][level].keys() == whole[0][level].keys()
        for name, expected in whole[0][level].items():
            # Equal up to rounding if the gradient itself is zero.
            torch.testing.assert_close(
                found[0][level][name], expected, rtol=1e-6, atol=1e-12
            )
        for key, value in whole[1 + level].items():
            assert found[1 + level][key] == pytest.approx(value, rel=1e-6)
    assert sum(g.norm() > 1e-4 for g in whole[0][1].values()) > 20


@pytest.mark.parametrize('parts', [1, 2])
def test_both_terms_of_an_upper_step_have_the_same_draws(parts):
    model = bissl_model('SimCLR', torch.float64)
    with torch.no_grad():
        for p, d in zip(model.lower_backbone(), model.upper_backbone(), strict=True):
            d.copy_(p)
    model.downstream.head.fc.register_forward_pre_hook(
        lambda module, given: (F.dropout(given[0], 0.5),)
    )
    half = views(4)[0]
    batch = dict(inputs=torch.cat([half, half]), data_samples=torch.arange(8) % 4 % 3)

    def upper(parts, batch, seed):
        order = FirstOrder(dict(upper=parts), None)
        return order.upper_gradient(model, batch, seed, direct_weight=1.0)

    found, other = (upper(parts, batch, seed) for seed in (5, 6))
    assert found.loss_at_lower == found.loss_at_upper != other.loss_at_upper
    for name, v in zip(model.levels.upper_names, found.v, strict=True):
        torch.testing.assert_close(found.gradients[name], v, rtol=1e-10, atol=1e-12)
    # Parts of the same images have draws of their own.
    first = dict(inputs=half, data_samples=batch['data_samples'][:4])
    assert upper(1, first, 5).loss_at_upper != found.loss_at_upper


def test_parts_of_the_hessian_batch_average_their_hessians():
    model = bissl_model('MAE', torch.float64)
    wrapper = sgd_wrapper(model, num_micro_batches=dict(hessian=2))
    images = views(4)[0]
    wrapper.begin_upper_phase(model, [dict(inputs=images)], seed=6)
    operator = wrapper.system.curvature_operator
    assert not operator.keeps_graphs
    params = model.lower_backbone()
    torch.manual_seed(0)
    vector = tuple(torch.randn_like(p) for p in params)
    # The parts are the two halves of the batch.
    halves = [dict(inputs=half, data_samples=None) for half in images.split(2)]
    closures = [
        pretext_closure(model.pretext, half, part_seed(6, i))
        for i, half in enumerate(halves)
    ]
    by_parts = [Hessian([closure], params)(vector) for closure in closures]
    for found, a, b in zip(operator(vector), *by_parts, strict=True):
        torch.testing.assert_close(found, (a + b) / 2, rtol=1e-12, atol=1e-14)
    assert operator.loss == torch.stack([closure() for closure in closures]).mean()


def test_target_network_moves_once_for_all_parts():
    targets = []
    for parts in (1, 3):
        MessageHub.get_current_instance().update_info('max_iters', 10)
        model = build(byol(target_decay=0.5)).train()
        model.data_preprocessor = Ready(torch.float64)
        order = FirstOrder(dict(lower=parts), None)
        for _ in range(2):
            order.loss_gradient(model, order.prepare(model, 'lower', two_views()))
            with torch.no_grad():
                model.backbone.conv1.weight.add_(1.0)
        targets.append(model.target_net.module[0].conv1.weight.clone())
    assert torch.equal(*targets)


def test_the_center_of_dino_moves_once_for_all_parts():
    found = {}
    for parts in (1, 2, 4):
        # Running statistics do not mix the images of a part.
        model = build(dino(center_decay=0.7, target_decay=0.5)).eval()
        model.data_preprocessor = Ready(torch.float64)
        order = FirstOrder(dict(lower=parts), None)
        found[parts] = []
        for seed in (1, 2):
            batch = dict(inputs=views(8, seed=seed), data_samples=None)
            loss, grads = order.loss_gradient(
                model, order.prepare(model, 'lower', batch)
            )
            found[parts] += [model.center.clone(), loss, *grads.values()]
        assert model.center.norm() > 1e-3
    for parts in (2, 4):
        torch.testing.assert_close(found[parts], found[1], rtol=1e-12, atol=1e-12)


def test_bfloat16_reaches_the_gradients_alone():
    exact, first, second = gradients(torch.float32)
    rough, low_first, low_second = gradients(
        torch.float32, first_order_dtype='bfloat16'
    )
    for level in (0, 1):
        a = torch.cat([g.flatten() for g in exact[level].values()])
        b = torch.cat([rough[level][n].flatten() for n in exact[level]])
        assert b.dtype == torch.float32
        error = (a - b).norm() / a.norm()
        # bfloat16 has 8 bits. No difference would mean that it is not used.
        assert 1e-4 < error < 0.1
    assert low_first['pretext_loss'] != first['pretext_loss']
    model = bissl_model('MAE', torch.float32)
    vector = tuple(torch.ones_like(p) for p in model.lower_backbone())
    products = []
    for dtype in (None, 'bfloat16'):
        wrapper = sgd_wrapper(model, first_order_dtype=dtype)
        wrapper.begin_upper_phase(model, [dict(inputs=views(4)[0])], seed=6)
        products.append(wrapper.system.curvature_operator(vector))
    for a, b in zip(*products, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('part', ['all', 'pretext.neck', 'downstream.head'])
def test_bfloat16_on_double_precision_is_refused(part):
    model = bissl_model('MAE', torch.float32)
    (model if part == 'all' else model.get_submodule(part)).double()
    order = FirstOrder(None, 'bfloat16')
    expected = (
        "first_order_dtype='bfloat16' has no effect on float64 .*"
        'and .* is one. Set first_order_dtype=None'
    )
    with pytest.raises(TypeError, match=expected):
        order.check_params(model)
    FirstOrder(None, None).check_params(model)
    if part != 'downstream.head':
        # A step by itself, without the loop.
        with pytest.raises(TypeError, match=expected):
            sgd_wrapper(model, first_order_dtype='bfloat16').lower_step(
                model, dict(inputs=views(4)[0]), seed=6
            )


class _OneType(BaseModel):
    """Has an operator that takes one type only, as mmcv's RoIAlign does."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.layer(inputs).lerp(torch.ones(2), 0.5).mean())


def test_an_operator_that_does_not_take_bfloat16_is_named():
    model, parts = _OneType(), [dict(inputs=torch.ones(3, 2))]
    FirstOrder(None, None).loss_gradient(model, parts)
    with pytest.raises(
        RuntimeRefusal,
        match=r"'bfloat16': an operator of _OneType does not take this type \(torch: .*"
        r'BFloat16.*\)\. Set optim_wrapper\.first_order_dtype=None',
    ):
        FirstOrder(None, 'bfloat16').loss_gradient(model, parts)
    with pytest.raises(RuntimeError, match='multiplied') as caught:
        FirstOrder(None, 'bfloat16').loss_gradient(
            model, [dict(inputs=torch.ones(3, 3))]
        )
    assert not isinstance(caught.value, RuntimeRefusal)


def test_batches_of_every_collation_are_cut():
    def same(a, b):
        return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))

    images, samples = torch.arange(12.0).view(4, 1, 1, 3), list('abcd')
    one, two = split(dict(inputs=images, data_samples=samples), 2, 'upper')
    assert same(two['inputs'], images[2:])
    assert two['data_samples'] == ['c', 'd']
    # default_collate of two views: a batch each, as many samples as views.
    pair = [images[:2], images[2:]]
    one, two = split(dict(inputs=pair), 2, 'lower')
    assert same(two['inputs'], [images[1:2], images[3:]])
    # pseudo_collate: images of different sizes in a list.
    single = [torch.ones(3, 4, 5), torch.ones(3, 6, 5)]
    one, two = split(dict(inputs=single, data_samples=samples[:2]), 2, 'upper')
    assert same(two['inputs'], single[1:])
    assert two['data_samples'] == ['b']
    # pseudo_collate of two views: a list of samples per view.
    one, two = split(dict(inputs=[single, single[::-1]]), 2, 'lower')
    assert same(two['inputs'][0], single[1:])
    assert same(two['inputs'][1], single[:1])
    batch = dict(inputs=images)
    assert split(batch, 1, 'lower')[0] is batch
    with pytest.raises(
        ValueError,
        match='lower level: a batch of 4 samples '
        'on this rank does not divide into num_micro_batches='
        '3. Set a divisor of batch_size',
    ):
        split(batch, 3, 'lower')


@pytest.mark.parametrize(
    'settings, error, message',
    [
        ((dict(lowr=2), None), TypeError, "Did you mean 'lower'"),
        ((dict(lower=0), None), ValueError, 'lower'),
        ((None, 'float16'), ValueError, "loss scale.*Set 'bfloat16'"),
        ((None, 'float8'), ValueError, 'first_order_dtype'),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        FirstOrder(*settings)


class FullyShardedStandIn(torch.nn.Module):
    """A module that mmengine treats as a wrapper, for this test."""


def test_sharded_training_is_refused(monkeypatch):
    kind = FullyShardedStandIn
    monkeypatch.setattr(
        'bissl_mm.engine.loop.beforehand.is_model_wrapper',
        lambda model: isinstance(model, kind),
    )
    with pytest.raises(
        TypeError,
        match='FullyShardedStandIn is not known.*'
        "dict.type='bissl_mm.PlainDistributedModel'",
    ):
        check_parts_of_runner(SimpleNamespace(model=kind()))
    with pytest.raises(
        TypeError,
        match='SimpleNamespace shards or wraps.*Remove runner_type and strategy',
    ):
        check_parts_of_runner(SimpleNamespace(strategy=SimpleNamespace()))
    settings = dict(
        type='BiSSLOptimWrapper',
        hypergradient=dict(damping=3.0),
        constructor='BiSSLOptimWrapperConstructor',
    )
    found = check_parts_of_runner(
        SimpleNamespace(
            model=torch.nn.Linear(1, 1),
            optim_wrapper=settings,
            auto_scale_lr=None,
            hooks=[],
        )
    )
    assert found.damping == 3
    optimizer = ZeroRedundancyOptimizer.__new__(ZeroRedundancyOptimizer)
    wrapper = OptimWrapper.__new__(OptimWrapper)
    wrapper.optimizer = optimizer
    with pytest.raises(TypeError, match='lower is a ZeroRedundancyOpt'):
        check_plain('lower', wrapper)


def test_batch_norm_sees_the_part_alone():
    """What micro-batches change, as the documentation says."""
    model = build(classifier_cfg()).train()
    model.data_preprocessor = Ready(torch.float64)
    grads = []
    for parts in (1, 2):
        order = FirstOrder(dict(upper=parts), None)
        batch = dict(inputs=views(4)[0], data_samples=torch.arange(4) % 3)
        _, found = order.loss_gradient(model, order.prepare(model, 'upper', batch))
        grads.append(found['backbone.conv1.weight'])
    assert not torch.allclose(*grads, rtol=1e-3)


class PartlyUsed(BaseModel):
    """A model with a parameter in the backbone and one in the head that its loss does
    not reach, or only for inputs of positive sum."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = torch.nn.Identity()
        self.data_preprocessor.forward = lambda data, training: data
        self.backbone = torch.nn.Linear(3, 3)
        self.backbone.idle = torch.nn.Parameter(torch.ones(2))
        self.head = torch.nn.Linear(3, 2)
        self.head.idle = torch.nn.Parameter(torch.ones(2))
        self.head.rare = torch.nn.Parameter(torch.ones(2))

    def forward(self, inputs, data_samples=None, mode='loss'):
        out = self.head(torch.tanh(self.backbone(inputs)))
        if inputs.sum() > 0:
            out = out * self.head.rare
        return dict(loss=out.square().mean())


class Sums(TorchDispatchMode):
    """Counts sums of two tensors that make a third one."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += func is torch.ops.aten.add.Tensor
        return func(*args, **(kwargs or {}))


def test_gradients_of_parts_are_summed_in_one_call_bit_for_bit():
    torch.manual_seed(0)
    model, order = PartlyUsed(), FirstOrder(None, None)
    # No part reaches the idle parameters, and two do not reach the rare one.
    parts = [dict(inputs=torch.rand(4, 3) + shift) for shift in (-2, 1, -1, 0)]
    with Sums() as alone:
        by_part = [order.loss_gradient(model, [p], weight=1 / 4)[1] for p in parts]
    with Sums() as together:
        found = order.loss_gradient(model, parts)[1]
    assert together.number == alone.number
    assert [len(g) for g in (found, *by_part)] == [5, 4, 5, 4, 5]
    for name, value in found.items():
        first, *others = (g[name] for g in by_part if name in g)
        for other in others:
            first = first + other
        assert torch.equal(value, first), name


class AddsParameters(BaseModel):
    """Gradients of two of its parameters are one tensor, that of a third has no
    memory of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (
            torch.nn.Parameter(torch.full((3,), value)) for value in (1.0, 2.0, 3.0)
        )

    def forward(self, inputs, data_samples=None, mode='loss'):
        level = self.first + self.second
        return dict(loss=(inputs * level).sum() + self.third.sum())


def test_gradients_that_share_memory_are_summed_once():
    model, order = AddsParameters(), FirstOrder(None, None)
    parts = [dict(inputs=torch.full((1, 3), value)) for value in (1.0, 2.0, 4.0)]
    found = order.loss_gradient(model, parts)[1]
    for name, expected in (('first', 7 / 3), ('second', 7 / 3), ('third', 1.0)):
        assert found[name].tolist() == pytest.approx([expected] * 3), name


def decayed_wrapper(model, kind=BiSSLOptimWrapper, **kwargs):
    parts = (model.pretext, model.downstream, model.downstream)
    return kind(
        *(
            OptimWrapper(
                torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5)
            )
            for m in parts
        ),
        **kwargs,
    )


def idle_of(model):
    return [p for n, p in model.named_parameters() if n.endswith('idle')]


@pytest.mark.parametrize('control', [{}, dict(indirect_weight=0.0), 'sum'])
def test_weight_decay_leaves_what_no_loss_reaches_alone(control):
    """As in an ordinary training, where such a parameter has no gradient."""
    torch.manual_seed(0)
    is_sum = control == 'sum'
    model = BiSSLModel(PartlyUsed(), PartlyUsed(), share_backbone=is_sum).train()
    wrapper = (
        decayed_wrapper(model, WeightedSumOptimWrapper)
        if is_sum
        else decayed_wrapper(model, **control)
    )
    model.copy_backbone_to_upper()
    batch = dict(inputs=torch.ones(4, 3))
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    wrapper.lower_step(model, batch, seed=0)
    wrapper.begin_upper_phase(model, [batch], seed=0)
    wrapper.upper_step(model, batch, seed=0)
    wrapper.end_upper_phase()
    for name, param in model.named_parameters():
        assert torch.equal(param, before[name]) == name.endswith('idle'), name
    wrapper.head_warmup_step(model, batch, seed=0)
    assert all(torch.equal(p, torch.ones(2)) for p in idle_of(model))


def test_momentum_waits_for_the_loss_to_reach_a_parameter_again():
    """The steps are those of an ordinary training, also in parts."""
    torch.manual_seed(0)
    batches = [dict(inputs=s * torch.rand(4, 3) + 0.1) for s in (1.0, -1.0, 1.0)]
    alone = PartlyUsed()
    model = BiSSLModel(PartlyUsed(), PartlyUsed())
    model.pretext.load_state_dict(alone.state_dict())
    wrapper = decayed_wrapper(
        model, regularizer=dict(weight=0.0), num_micro_batches=dict(lower=2)
    )
    optimizer = torch.optim.SGD(
        alone.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5
    )
    for batch in batches:
        wrapper.lower_step(model, batch, seed=0)
        optimizer.zero_grad()
        alone(**batch)['loss'].backward()
        optimizer.step()
    for (name, param), other in zip(
        alone.named_parameters(), model.pretext.parameters(), strict=True
    ):
        torch.testing.assert_close(param, other, msg=lambda text: f'{name}: {text}')


def test_a_bound_backbone_follows_the_other_where_its_own_loss_does_not_reach():
    model = BiSSLModel(PartlyUsed(), PartlyUsed())
    with torch.no_grad():
        model.downstream.backbone.idle.zero_()
    wrapper = decayed_wrapper(model, regularizer=dict(weight=0.2))
    _, grads = wrapper.lower_gradient(model, dict(inputs=torch.ones(4, 3)), seed=0)
    torch.testing.assert_close(grads['backbone.idle'], torch.full((2,), 0.2))
    assert 'head.idle' not in grads


class Taught(BaseModel):
    """A model whose loss moves a teacher by its data after it has used it, as CAE's
    does; a codebook by the mean of the batch; and a queue by its samples."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = torch.nn.Identity()
        self.data_preprocessor.forward = lambda data, training: data
        self.backbone = torch.nn.Linear(3, 3)
        self.teacher = torch.nn.Linear(3, 3).requires_grad_(False)
        self.codebook = torch.nn.Linear(3, 3, bias=False).requires_grad_(False)
        self.norm = torch.nn.BatchNorm1d(3).requires_grad_(False)
        self.queue = torch.nn.Module()
        self.queue.register_buffer('sums', torch.zeros(8))
        self.queue.register_buffer('place', torch.zeros((), dtype=torch.long))

    def forward(self, inputs, data_samples=None, mode='loss'):
        target = self.codebook(self.teacher(inputs))
        self.norm(inputs)
        with torch.no_grad():
            for own, other in zip(
                self.teacher.parameters(), self.backbone.parameters(), strict=True
            ):
                own.data = own.data * 0.3 + other.data * 0.7
            self.codebook.weight.data.mul_(0.5).add_(inputs.mean(0))
            for row in inputs:
                self.queue.sums[self.queue.place % 8] = row.sum()
                self.queue.place += 1
        return dict(loss=(self.backbone(inputs) - target).square().mean())


def test_a_teacher_that_is_moved_by_its_data_moves_once_for_all_parts():
    torch.manual_seed(0)
    first = Taught().double()
    batches = [dict(inputs=torch.randn(6, 3).double()) for _ in range(2)]
    found = {}
    for parts in (1, 2, 3):
        model = Taught().double()
        model.load_state_dict(first.state_dict())
        order = FirstOrder(dict(lower=parts), None)
        found[parts] = []
        for batch in batches:
            loss, grads = order.loss_gradient(
                model, order.prepare(model, 'lower', batch)
            )
            state = {k: v for k, v in model.state_dict().items() if 'norm' not in k}
            found[parts] += [loss, *grads.values()]
            found[parts] += [value.clone() for value in state.values()]
        # Running statistics move with every part, in a frozen network, too.
        assert model.norm.num_batches_tracked == 2 * parts
    for parts in (2, 3):
        torch.testing.assert_close(found[parts], found[1], rtol=1e-12, atol=1e-12)


class Summed(PartlyUsed):
    """A model that uses the sum of two parameters, which then share their gradient."""

    def __init__(self):
        super().__init__()
        self.backbone.also = torch.nn.Parameter(torch.ones(3))
        self.head.also = torch.nn.Parameter(torch.ones(2))
        self.more = torch.nn.Parameter(torch.ones(3))

    def forward(self, inputs, data_samples=None, mode='loss'):
        hidden = inputs * (self.backbone.also + self.backbone.bias + self.more)
        out = self.head(torch.tanh(self.backbone.weight @ hidden.T).T)
        return dict(loss=(out * (self.head.also + self.head.rare)).square().mean())


def test_terms_are_added_once_to_gradients_that_share_their_memory():
    torch.manual_seed(0)
    model = BiSSLModel(Summed(), Summed()).double()
    with torch.no_grad():
        for i, param in enumerate(model.parameters()):
            param.add_(0.1 * i)
    batch = dict(inputs=torch.randn(4, 3).double())
    wrapper = decayed_wrapper(
        model,
        regularizer=dict(weight=0.5),
        direct_weight=2.0,
        indirect_weight=3.0,
        hypergradient=dict(solver=dict(type='IdentitySolver')),
    )
    losses = [m(**batch)['loss'] for m in (model.pretext, model.downstream)]
    losses.append(
        loss_with_state(model.downstream, model.upper_state_at_lower(), batch)
    )
    gaps = [p - d for p, d in zip(model.levels.theta_p, model.levels.theta_d)]
    losses[0] = losses[0] + 0.25 * sum(gap.square().sum() for gap in gaps)
    _, lower = wrapper.lower_gradient(model, batch, seed=0)
    wrapper.begin_upper_phase(model, [batch], seed=0)
    upper = wrapper.upper_gradient(model, batch, seed=0).gradients
    for name, param in model.pretext.named_parameters():
        if name in lower:
            expected = torch.autograd.grad(losses[0], param, retain_graph=True)[0]
            torch.testing.assert_close(lower[name], expected, msg=name)
    lower_of = dict(zip(model.levels.upper_names, model.levels.theta_p, strict=True))
    for name, param in model.downstream.named_parameters():
        if name in upper:
            expected = sum(
                weight * torch.autograd.grad(loss, own, retain_graph=True)[0]
                for weight, loss, own in (
                    (2.0, losses[1], param),
                    (3.0, losses[2], lower_of.get(name, param)),
                )
            )
            torch.testing.assert_close(upper[name], expected, msg=name)
    assert {'backbone.also', 'backbone.bias', 'more'} <= lower.keys() & upper.keys()
