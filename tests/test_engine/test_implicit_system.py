"""The operator that an upper phase builds from the settings."""

import copy
import gc
import inspect
import math
import weakref
from dataclasses import fields

import pytest
import torch
from mmengine.config import Config
from pretext_models import METHODS, bissl_model, sgd_wrapper
from small_models import views
from torch.utils._python_dispatch import TorchDispatchMode

from bissl_mm.engine import BiSSLOptimWrapper, BiSSLOptimWrapperConstructor
from bissl_mm.engine.steps.settings import (
    MOVED_OF_LOOP,
    MOVED_OF_WRAPPER,
    HypergradientSettings,
    refuse_moved,
)
from bissl_mm.hypergradient import Hessian, LearnedDistance
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.hypergradient.regularizers.learned import NAME
from bissl_mm.models import pretext_closure


def test_hessian_of_the_first_samples():
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(model, hypergradient=dict(batch_size=4))
    first, second = views(6)
    wrapper.begin_upper_phase(
        model, [dict(inputs=[first, second], data_samples=None)], seed=0
    )
    params = model.lower_backbone()
    expected = Hessian(
        [
            pretext_closure(
                model.pretext,
                dict(inputs=[first[:4], second[:4]], data_samples=None),
                0,
            )
        ],
        params,
    )
    vector = tuple(torch.randn_like(p) for p in params)
    for a, b in zip(
        wrapper.system.curvature_operator(vector), expected(vector), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_more_samples_than_there_are():
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(model, hypergradient=dict(batch_size=7))
    with pytest.raises(
        ValueError,
        match='hypergradient.batch_size=7, but a '
        'pretext batch has 6 samples on this rank. Set it to 6 or less',
    ):
        wrapper.begin_upper_phase(
            model, [dict(inputs=views(6), data_samples=None)], seed=0
        )


@pytest.mark.parametrize('kind', ['SimCLR', 'MAE'])
@pytest.mark.parametrize('curvature', ['hessian', 'gauss_newton'])
def test_products_without_a_kept_graph(kind, curvature):
    model = bissl_model(kind, torch.float64)
    vector = tuple(torch.randn_like(p) for p in model.lower_backbone())
    batch = METHODS[kind][1]()
    forwards, products = [], []
    model.pretext.register_forward_hook(lambda *args: forwards.append(args))
    for keep_graph in (True, False):
        wrapper = sgd_wrapper(
            model, hypergradient=dict(curvature=curvature, keep_graph=keep_graph)
        )
        wrapper.begin_upper_phase(model, [batch], seed=3)
        del forwards[:]
        operator = wrapper.system.curvature_operator
        products.append([operator(vector) for _ in range(2)][-1])
        # Each product evaluates the loss anew, or none does.
        assert len(forwards) == (0 if keep_graph else 2)
        wrapper.end_upper_phase()
    for kept, rebuilt in zip(*products, strict=True):
        torch.testing.assert_close(kept, rebuilt, rtol=1e-10, atol=1e-12)


def test_every_setting_can_be_given_in_a_config():
    settings = dict(
        regularizer=dict(type='SquaredDistance', weight=0.01),
        hypergradient=dict(
            damping=1.0,
            solver=dict(type='CGSolver'),
            curvature='gauss_newton',
            difference_step=1e-4,
            params='norm',
            pretext_head=True,
            head_damping=0.1,
            head_weight=0.0,
            num_batches=2,
            batches='first',
            batch_size=4,
            keep_graph=False,
            dtype='bfloat16',
            second_order='lean',
            small_image_kernels=False,
            check_residual='never',
            unrolled_steps=0,
        ),
        direct_weight=0.5,
        indirect_weight=2.0,
        num_micro_batches=dict(upper=2),
        first_order_dtype='bfloat16',
    )
    assert set(settings['hypergradient']) == {
        field.name for field in fields(HypergradientSettings)
    }
    known = inspect.signature(BiSSLOptimWrapper).parameters
    assert set(known) == {*settings, 'lower', 'upper', 'head_warmup'}
    level = dict(optimizer=dict(type='SGD', lr=0.1))
    wrapper = BiSSLOptimWrapperConstructor(
        dict(type='bissl_mm.BiSSLOptimWrapper', lower=level, upper=level, **settings)
    )(bissl_model('SimCLR', torch.float32))
    assert wrapper.first_order.num_parts['upper'] == 2
    kept = wrapper.settings()
    assert kept.pop('num_micro_batches.upper') == 2
    assert [kept.pop(f'num_micro_batches.{k}') for k in ('lower', 'hessian')] == [1, 1]
    assert 'CGSolver' in kept.pop('hypergradient.solver')
    for key, value in settings['hypergradient'].items():
        assert key == 'solver' or kept.pop(f'hypergradient.{key}') == value
    assert kept.pop('regularizer.weight') == 0.01
    assert kept.pop('regularizer.type') == 'SquaredDistance'
    assert {k: settings[k] for k in kept} == kept


def test_what_a_level_leaves_out_is_the_published_or_that_of_the_upper_level():
    model = bissl_model('SimCLR', torch.float32)
    upper = dict(
        optimizer=dict(type='SGD', lr=0.2, weight_decay=0.1),
        paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=3.0)}),
    )
    given = dict(lower=dict(optimizer=dict(type='SGD', lr=0.4)), upper=upper)

    def built(**changed):
        wrapper = BiSSLOptimWrapperConstructor({**given, **changed})(model)
        heads = {id(p) for p in model.downstream.head.parameters()}
        groups = wrapper.head_warmup.optimizer.param_groups
        return wrapper, {
            (id(p) in heads, g['lr'], g['weight_decay'])
            for g in groups
            for p in g['params']
        }

    wrapper, rates = built()
    published = dict(max_norm=10.0)
    assert wrapper.clip_grad == dict(lower=published, upper=published, head_warmup=None)
    assert rates == {(True, 0.2 * 3.0, 0.1), (False, 0.2, 0.1)}
    own = dict(optimizer=dict(type='SGD', lr=0.5), clip_grad=dict(max_norm=1.0))
    wrapper, rates = built(head_warmup=own, upper={**upper, 'clip_grad': None})
    assert wrapper.clip_grad['upper'] is None
    assert wrapper.clip_grad['head_warmup'] == dict(max_norm=1.0)
    assert rates == {(True, 1.5, 0.0), (False, 0.5, 0.0)}


@pytest.mark.parametrize(
    'setting, message',
    [
        (dict(batch_size=0), 'hypergradient: batch_size must be'),
        (dict(dtype='float16'), "hypergradient: dtype is 'float16'"),
        (dict(batches='last'), "'next', 'first'"),
        (dict(num_batches=0), 'num_batches must be'),
        (dict(second_order='own'), "second_order is 'own'"),
        (dict(small_image_kernels='no'), "small_image_kernels is 'no'"),
        (dict(keep_graph='no'), "keep_graph is 'no'"),
        (dict(second_order='torch', dtype='bfloat16'), 'Set dtype=None'),
        (dict(damping=-1.0), 'damping must be'),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        sgd_wrapper(bissl_model('SimCLR', torch.float32), hypergradient=setting)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(params=['nothing']), 'names no parameter of the lower backbone'),
        (dict(params=['(']), 'is not a regular expression'),
        (dict(curvature='fisher', dtype='tf32'), 'Set dtype=None'),
        (dict(curvature='differences', difference_step=0.0), 'Set difference_step'),
        (dict(solver=dict(type='DenseSolver', max_size=9)), 'more than max_size=9'),
        (
            dict(
                solver=dict(type='LowRankSolver'), pretext_head=True, head_damping=0.0
            ),
            'Set the former above 0',
        ),
        (
            dict(solver=dict(type='LowRankSolver'), pretext_head=True, head_weight=0.1),
            'head_weight=0',
        ),
    ],
    ids=str,
)
def test_what_cannot_work_is_told_before_training(settings, message):
    level = dict(optimizer=dict(type='SGD', lr=0.1))
    given = dict(lower=level, upper=level, regularizer=dict(weight=0.1))
    model = bissl_model('SimCLR', torch.float32)

    def build(**more):
        config = dict(type='bissl_mm.BiSSLOptimWrapper', hypergradient=settings)
        return BiSSLOptimWrapperConstructor({**config, **given, **more})(model)

    with pytest.raises(ValueError, match=message):
        build()
    if 'params' in settings:
        # Without its term there is no system.
        build(indirect_weight=0.0)


def test_a_free_tensor_is_told_before_training_to_a_solver_that_inverts():
    level = dict(optimizer=dict(type='SGD', lr=0.1))
    tied = dict(type='WeightedDistance', weight=0.1, factors={'weight': 0.0})
    make = BiSSLOptimWrapperConstructor(
        dict(
            type='bissl_mm.BiSSLOptimWrapper',
            lower=level,
            upper=level,
            regularizer=tied,
            hypergradient=dict(solver=dict(type='LowRankSolver')),
        )
    )
    with pytest.raises(ValueError, match='a parameter is free'):
        make(bissl_model('SimCLR', torch.float32))


def test_settings_of_old_name_their_new_places():
    level = dict(optimizer=dict(type='SGD', lr=0.1))
    with pytest.raises(
        TypeError,
        match=(
            'optim_wrapper: reg_weight is now optim_wrapper.regularizer.'
            'weight; solver is now optim_wrapper.hypergradient.solver. Move '
            'them there'
        ),
    ):
        BiSSLOptimWrapperConstructor(
            dict(
                type='BiSSLOptimWrapper',
                lower=level,
                upper=level,
                reg_weight=1.0,
                solver=dict(type='CGSolver'),
            )
        )
    cfg = Config(
        dict(
            optim_wrapper=dict.fromkeys(MOVED_OF_WRAPPER),
            train_cfg=dict.fromkeys(MOVED_OF_LOOP),
        )
    )
    with pytest.raises(TypeError) as caught:
        refuse_moved(cfg)
    for part, moved in (
        ('optim_wrapper', MOVED_OF_WRAPPER),
        ('train_cfg', MOVED_OF_LOOP),
    ):
        for key, place in moved.items():
            assert f'{part}.{key} is now {place}' in str(caught.value)
    assert len(MOVED_OF_WRAPPER) + len(MOVED_OF_LOOP) == 10


def test_products_in_bfloat16():
    model = bissl_model('SimCLR', torch.float32)
    batch = dict(inputs=views(6), data_samples=None)
    vector, products = None, []
    for dtype in (None, 'bfloat16'):
        wrapper = sgd_wrapper(model, hypergradient=dict(dtype=dtype))
        wrapper.begin_upper_phase(model, [batch], seed=0)
        torch.manual_seed(1)
        vector = tuple(torch.randn_like(p) for p in model.lower_backbone())
        products.append(wrapper.system.bound.operator(vector))
        wrapper.end_upper_phase()
    error = norm(subtract(*products)) / norm(products[0])
    # The identity is exact. Zero would mean that the setting has no effect.
    assert 0 < error < 5e-2
    assert wrapper.settings()['hypergradient.dtype'] == 'bfloat16'


class SeesPrecision(TorchDispatchMode):
    """Notes what torch's settings of TF32 are when a convolution runs."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if 'convolution' in func.name():
            precision = torch.get_float32_matmul_precision()
            self.seen.add((torch.backends.cudnn.allow_tf32, precision))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    'curvature, parts, dtype',
    [
        ('hessian', 1, None),
        ('hessian', 1, 'tf32'),
        ('gauss_newton', 2, 'tf32'),
        ('differences', 1, None),
    ],
)
def test_only_products_use_tf32_and_only_if_they_are_told_to(curvature, parts, dtype):
    model = bissl_model('SimCLR', torch.float32)
    wrapper = sgd_wrapper(
        model,
        hypergradient=dict(dtype=dtype, curvature=curvature),
        num_micro_batches=dict(hessian=parts),
    )
    # torch's own default.
    assert torch.backends.cudnn.allow_tf32
    exact, rough = {(False, 'highest')}, {(True, 'high')}
    with SeesPrecision() as built:
        wrapper.begin_upper_phase(model, [dict(inputs=views(4), data_samples=None)], 0)
    assert built.seen == (exact if parts == 1 else set())
    operator = wrapper.system.bound.operator
    vector = tuple(torch.ones_like(p) for p in model.lower_backbone())
    with SeesPrecision() as product:
        operator(vector)
    # Parts are rebuilt in float32 for each product.
    expected = (rough if dtype else exact) | (exact if parts > 1 else set())
    assert product.seen == expected
    with SeesPrecision() as checked:
        operator.exact(vector)
    assert checked.seen == exact
    assert torch.backends.cudnn.allow_tf32


def test_a_kept_basis_belongs_to_one_system():
    """A phase that resumes with another damping, or with other parts of its batch,
    starts without a basis."""
    model = bissl_model('SimCLR', torch.float64)
    batch = dict(inputs=views(6), data_samples=None)

    def begun(state=None, parts=1, **settings):
        wrapper = sgd_wrapper(
            model,
            hypergradient=dict(
                solver=dict(type='RecyclingSolver', tolerance=1e-6), **settings
            ),
            num_micro_batches=dict(hessian=parts),
        )
        if state is not None:
            wrapper.load_state_dict(state)
        wrapper.begin_upper_phase(
            model, [batch], seed=0, done_steps=int(state is not None)
        )
        return wrapper

    # The damping exceeds the negative eigenvalues of this untrained network.
    # Otherwise its systems would amplify rounding.
    wrapper = begun(damping=500.0)
    torch.manual_seed(0)
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())
    first = wrapper.system.solve(v)
    state = wrapper.state_dict()
    same = begun(state, damping=500.0)
    # The ten kept directions come before its own ten.
    assert same.system.solve(v).residual_norm < 0.5 * first.residual_norm
    # A contrastive loss has another Hessian in other parts.
    for settings in (dict(damping=1000.0), dict(damping=500.0, parts=2)):
        expected = begun(**settings).system.solve(v)
        found = begun(state, **settings).system.solve(v)
        assert found.num_iters == expected.num_iters
        for a, b in zip(found.value, expected.value, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    'setting, checked',
    [
        (dict(), [2]),
        (dict(check_residual='first'), [0]),
        (dict(check_residual='always'), [0, 1, 2]),
        (dict(check_residual='never'), []),
    ],
)
def test_step_of_a_phase_whose_residual_is_checked(setting, checked):
    """The step is by default the one that the loop has drawn."""
    model = bissl_model('SimCLR', torch.float32)
    wrapper = sgd_wrapper(model, hypergradient=setting)
    wrapper.begin_upper_phase(
        model, [dict(inputs=views(4), data_samples=None)], seed=0, checked_step=2
    )
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())
    solutions = [wrapper.system.solve(v) for _ in range(3)]
    assert [
        i
        for i, solution in enumerate(solutions)
        if solution.true_residual_norm is not None
    ] == checked


@pytest.mark.parametrize('params', [None, 'norm'])
def test_system_over_the_pretext_head(params):
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(
        model,
        hypergradient=dict(
            pretext_head=True,
            head_damping=0.7,
            damping=0.2,
            params=params,
            solver=dict(type='CGSolver', max_iters=3),
        ),
    )
    batch = dict(inputs=views(6), data_samples=None)
    wrapper.begin_upper_phase(model, [batch], seed=0)
    system = wrapper.system
    theta = system.domain.leaves(model.lower_backbone())
    heads = {name for name, _ in model.pretext.named_parameters() if 'neck' in name}
    head = [p for name, p in model.pretext.named_parameters() if name in heads]
    assert heads
    assert (len(theta) == len(model.lower_backbone())) == (params is None)
    x = tuple(torch.randn_like(p) for p in (*theta, *head))
    products = Hessian([pretext_closure(model.pretext, batch, 0)], (*theta, *head))(x)
    for i, (a, b, h) in enumerate(
        zip(system.bound.operator(x), x, products, strict=True)
    ):
        factor = 1.0 if i < len(theta) else 0.7
        torch.testing.assert_close(a, factor * b + h / 0.3, rtol=1e-10, atol=1e-12)
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())
    assert [s.shape for s in system.solve(v).value] == [s.shape for s in v]


def at_upper_backbone(model):
    """A copy of the pretext model with the downstream model's backbone."""
    other = copy.deepcopy(model.pretext)
    there, upper = other.state_dict(), model.downstream.state_dict()
    for name, partner in model.pairs.all:
        there[name].copy_(upper[partner])
    return other


@pytest.mark.parametrize('curvature', ['hessian', 'differences'])
def test_system_with_a_regularized_pretext_head(curvature):
    """Appendix G of the thesis, put together from a second model at theta_D."""
    model = bissl_model('MAE', torch.float64)
    with torch.no_grad():
        for p in model.upper_backbone():
            p.add_(0.02 * torch.randn_like(p))
    other = at_upper_backbone(model)
    there = dict(other.named_parameters())
    wrapper = sgd_wrapper(
        model,
        hypergradient=dict(
            pretext_head=True,
            head_damping=0.7,
            head_weight=0.4,
            damping=0.2,
            curvature=curvature,
            solver=dict(type='MinresSolver', max_iters=4),
        ),
    )
    batch = METHODS['MAE'][1]()
    wrapper.begin_upper_phase(model, [batch], seed=0)
    system, levels = wrapper.system, model.levels
    size, head = len(levels.theta_p), levels.phi_p
    own = {id(p): n for n, p in model.pretext.named_parameters()}
    head_there = tuple(there[own[id(p)]] for p in head)
    upper_there = tuple(there[n] for n in levels.lower_names)
    v = tuple(torch.randn_like(p) for p in levels.theta_p)
    found = system.solve(v).value
    at_lower = Hessian(
        [pretext_closure(model.pretext, batch, 0)],
        system.domain.leaves(levels.theta_p) + head,
    )
    at_upper = Hessian([pretext_closure(other, batch, 0)], (*upper_there, *head_there))
    rhs = (*v, *(0.4 * p.detach() for p in head))
    for a, b in zip(system.domain.put(v), rhs, strict=True):
        assert torch.equal(a, b)
    scale = 0.1 + 0.2  # lambda of the wrapper and damping

    def product(x):
        first = at_lower(x)
        second = at_upper((*(torch.zeros_like(p) for p in upper_there), *x[size:]))
        return tuple(
            (1.0 if i < size else 0.7) * a + (b + (c if i >= size else 0)) / scale
            for i, (a, b, c) in enumerate(zip(x, first, second, strict=True))
        )

    # Rounding of a gradient over its step.
    rtol = 1e-9 if curvature == 'hessian' else 1e-4
    x = tuple(torch.randn_like(p) for p in rhs)
    assert relative(system.bound.operator(x), product(x)) < rtol
    solution = system.bound.solve(rhs).value
    mixed = at_upper((*(torch.zeros_like(p) for p in upper_there), *solution[size:]))
    expected = tuple(a - b / scale for a, b in zip(solution[:size], mixed))
    assert relative(found, expected) < rtol
    # Neither term is negligible.
    assert relative(solution[:size], expected) > 1e-3


@pytest.mark.parametrize('head_weight', [0.0, 0.3])
def test_a_phase_that_has_ended_holds_no_batch(head_weight):
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(
        model, hypergradient=dict(pretext_head=True, head_weight=head_weight)
    )
    inputs = views(4)
    held = [weakref.ref(view) for view in inputs]
    wrapper.begin_upper_phase(model, [dict(inputs=inputs, data_samples=None)], seed=0)
    del inputs
    assert all(ref() is not None for ref in held)
    wrapper.end_upper_phase()
    gc.collect()
    assert all(ref() is None for ref in held)


def relative(found, expected):
    return (norm(subtract(found, expected)) / norm(expected)).item()


def test_the_lower_level_has_the_head_at_both_backbones():
    model = bissl_model('SimCLR', torch.float64)
    with torch.no_grad():
        for p in model.upper_backbone():
            p.add_(0.1 * torch.randn_like(p))
    batch = dict(inputs=views(6), data_samples=None)
    settings = dict(pretext_head=True)
    _, alone = sgd_wrapper(model, hypergradient=settings).lower_gradient(
        model, batch, 0
    )
    before = copy.deepcopy(model.state_dict())
    wrapper = sgd_wrapper(model, hypergradient=dict(settings, head_weight=0.3))
    logs, both = wrapper.lower_gradient(model, batch, 0)
    other = at_upper_backbone(model)
    there = dict(other.named_parameters())
    loss = pretext_closure(other, batch, 0)()
    assert logs['pretext_loss_at_upper'].item() == pytest.approx(loss.item(), rel=1e-10)
    loss.backward()
    own = {id(p): n for n, p in model.pretext.named_parameters()}
    heads = {own[id(p)] for p in model.levels.phi_p}
    assert heads
    for name, grad in both.items():
        expected = alone[name] + (there[name].grad if name in heads else 0)
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-12)
    # The statistics of the pretext model are those of theta_P.
    own_statistics = [k for k in before if k.startswith('pretext') and 'running' in k]
    assert own_statistics


def test_how_far_the_lower_level_is_from_a_stationary_point():
    model = bissl_model('SimCLR', torch.float64)
    batch = dict(inputs=views(6), data_samples=None)
    names, theta_p = model.levels.lower_names, model.lower_backbone()
    _, alone = sgd_wrapper(model, regularizer=dict(weight=0.0)).lower_gradient(
        model, batch, 0
    )
    # A theta_D for which 0.1 (theta_P - theta_D) is the gradient times -1.01.
    with torch.no_grad():
        for name, p, d in zip(names, theta_p, model.upper_backbone()):
            d.copy_(p + 1.01 * alone[name] / 0.1)
    logs, _ = sgd_wrapper(model).lower_gradient(model, batch, 0)
    assert logs['stationarity'].item() == pytest.approx(0.01 / 2.01, rel=1e-6)
    with torch.no_grad():
        for name, p, d in zip(names, theta_p, model.upper_backbone()):
            d.copy_(p - alone[name])
    logs, _ = sgd_wrapper(model).lower_gradient(model, batch, 0)
    assert logs['stationarity'].item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    'settings, text',
    [
        (dict(hypergradient=dict(head_weight=0.1)), 'pretext_head=True'),
        (dict(hypergradient=dict(head_weight=-1, pretext_head=True)), 'head_weight'),
        (
            dict(
                hypergradient=dict(
                    head_weight=0.1, pretext_head=True, curvature='gauss_newton'
                )
            ),
            "Set curvature='hessian'",
        ),
        (
            dict(
                hypergradient=dict(head_weight=0.1, pretext_head=True),
                regularizer=LearnedDistance(0.1),
            ),
            'learned lambda',
        ),
        (
            dict(
                hypergradient=dict(head_weight=0.1, pretext_head=True),
                indirect_weight=0.0,
            ),
            'Set indirect_weight=1',
        ),
    ],
)
def test_head_weight_where_it_cannot_act(settings, text):
    with pytest.raises(ValueError, match=text):
        sgd_wrapper(bissl_model('SimCLR', torch.float64), **settings)


@pytest.mark.parametrize('damping', [0.0, 0.4])
def test_a_learned_lambda_steps_and_the_next_system_has_it(damping):
    model = bissl_model('SimCLR', torch.float64)
    learned = LearnedDistance(0.3, damping=0.2, lr=0.5)
    wrapper = sgd_wrapper(
        model, regularizer=learned, hypergradient=dict(damping=damping)
    )
    with torch.no_grad():
        for p in model.upper_backbone():
            p.add_(0.1)
    wrapper.begin_upper_phase(model, [dict(inputs=views(6), data_samples=None)], seed=0)
    batch = dict(inputs=views(4)[0], data_samples=torch.tensor([0, 1, 0, 1]))
    found = wrapper.upper_gradient(model, batch, seed=0)
    along = sum(
        ((d - p) * v).sum()
        for p, d, v in zip(
            model.lower_backbone(), model.upper_backbone(), found.solution.value
        )
    )
    raw = math.log(math.expm1(0.3))
    slope = along.item() / (1 + math.exp(-raw)) / (0.3 + 0.2)
    assert slope == pytest.approx(found.gradients[NAME].item(), rel=1e-5)
    wrapper.upper_step(model, batch, seed=0)
    expected = math.log1p(math.exp(raw - 0.5 * slope))
    assert learned.weight == pytest.approx(expected, rel=1e-5) != 0.3
    factors = []
    for _ in range(2):
        factors.append(wrapper.system.bound.operator.second.factor)
        wrapper.upper_gradient(model, batch, seed=0)
    assert factors == pytest.approx([1 / (0.3 + damping), 1 / (expected + damping)])


def test_a_sketch_goes_from_phase_to_phase_and_through_a_checkpoint_between():
    model = bissl_model('SimCLR', torch.float64)
    batch = dict(inputs=views(6), data_samples=None)
    torch.manual_seed(0)
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())

    def made(state=None):
        solver = dict(type='LowRankSolver', rank=2, passes=1, tolerance=10.0)
        wrapper = sgd_wrapper(model, hypergradient=dict(damping=500.0, solver=solver))
        if state is not None:
            wrapper.load_state_dict(state)
        return wrapper

    def phase(wrapper, done_steps=0):
        wrapper.begin_upper_phase(model, [batch], seed=0, done_steps=done_steps)
        solution = wrapper.system.solve(v)
        within = wrapper.state_dict()
        products = wrapper.system.curvature_operator.num_products
        wrapper.end_upper_phase()
        return solution, products, within

    wrapper = made()
    assert 'solver' not in wrapper.state_dict()
    first, products, within = phase(wrapper)
    # The sketch, its error, and the residual that every phase checks.
    assert products == 2 + 1 + 1
    between = wrapper.state_dict()
    second, products, _ = phase(wrapper)
    assert products == 1 + 1
    for state, done_steps, number in (
        (between, 0, 1 + 1),
        # The last step of the phase was its only one.
        (within, 0, 1 + 1),
        # Its error is known; the next step checks nothing.
        (within, 1, 0),
    ):
        again, products, _ = phase(made(state), done_steps)
        assert products == number
        for a, b in zip(again.value, second.value, strict=True):
            assert torch.equal(a, b)


def test_the_sketch_outlives_a_weight_that_every_step_changes():
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(
        model,
        regularizer=dict(type='LearnedDistance', weight=0.3),
        hypergradient=dict(
            damping=500.0,
            check_residual='never',
            solver=dict(type='LowRankSolver', rank=2, tolerance=10.0),
        ),
    )
    wrapper.begin_upper_phase(model, [dict(inputs=views(6), data_samples=None)], 0)
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())
    system, numbers = wrapper.system, []
    for weight in (0.3, 0.4, 0.5):
        with torch.no_grad():
            dict(system.regularizer.named_parameters())[NAME].fill_(
                math.log(math.expm1(weight))
            )
        system.regularizer.stepped()
        system.solve(v)
        numbers.append(system.curvature_operator.num_products)
    assert numbers == [2 * 2 + 1] * 3
