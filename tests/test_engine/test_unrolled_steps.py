"""Unrolled lower steps within the bilevel stage."""

from functools import partial

import pytest
import torch
from mmengine.optim import OptimWrapper
from pretext_models import bissl_model
from small_models import views

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.engine.loop.settings import LoopSettings
from bissl_mm.hypergradient.linalg.basis import flatten, unflatten


def batch_of(seed, kind='SimCLR'):
    inputs = views(6, seed=seed)
    return dict(inputs=inputs[0] if kind == 'MAE' else inputs, data_samples=None)


def made(model, lower=None, clip=None, **kwargs):
    parts = dict(
        lower=model.pretext, upper=model.downstream, head_warmup=model.downstream
    )
    wrappers = {
        level: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.05, momentum=0.9))
        for level, part in parts.items()
    }
    optimizer = lower or torch.optim.SGD(
        model.pretext.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01
    )
    wrappers['lower'] = OptimWrapper(optimizer, clip_grad=clip)
    kwargs.setdefault('regularizer', dict(weight=2.0))
    kwargs.setdefault('hypergradient', dict(unrolled_steps=2))
    return BiSSLOptimWrapper(**wrappers, **kwargs)


def after_three_steps(shift, resumed=False):
    """theta_D is moved by ``shift`` before the last two of three steps.

    Every step of MAE draws its own masks.
    """
    model = bissl_model('MAE', torch.float64)
    wrapper = made(model)
    wrapper.lower_step(model, batch_of(0, 'MAE'), 0)
    with torch.no_grad():
        for p, move in zip(
            model.upper_backbone(), unflatten(shift, model.upper_backbone())
        ):
            p.add_(move)
    for seed in (1, 2):
        wrapper.lower_step(model, batch_of(seed, 'MAE'), seed)
        if resumed:
            state = wrapper.state_dict()
            wrapper = made(model)
            wrapper.load_state_dict(state)
    return model, wrapper


def test_the_last_steps_against_differences_of_whole_runs():
    size = sum(p.numel() for p in bissl_model('MAE', torch.float64).lower_backbone())
    torch.manual_seed(0)
    direction, v = torch.randn(2, size, dtype=torch.float64)
    model, wrapper = after_three_steps(0 * direction)
    like = model.lower_backbone()
    found = []
    for used in (wrapper, after_three_steps(0 * direction, resumed=True)[1]):
        used.begin_upper_phase(
            model, [batch_of(1, 'MAE'), batch_of(2, 'MAE')], seed=[1, 2]
        )
        found.append(flatten(used.system.solve(unflatten(v, like)).value))
        used.end_upper_phase()
        assert 'solver' not in used.state_dict()
    assert torch.equal(*found)
    step = 1e-6
    ends = [
        flatten(after_three_steps(sign * step * direction)[0].lower_backbone()) @ v
        for sign in (1, -1)
    ]
    expected = (ends[0] - ends[1]).item() / (2 * step)
    assert (found[0] @ direction).item() == pytest.approx(expected, rel=1e-5)
    # Two steps of this size are far from the system's solution and from v.
    assert not torch.allclose(found[0], v, rtol=0.5)


def test_a_step_is_kept_with_what_its_loss_saw():
    model = bissl_model('DINO', torch.float64)
    wrapper = made(model)
    wrapper.lower_step(model, batch_of(0), 0)
    before, after = [], []
    for found in (before, after):
        found.append({n: b.clone() for n, b in model.pretext.named_buffers()})
        if found is before:
            wrapper.lower_step(model, batch_of(1), 1)
    (before,), (after,) = before, after
    (*_, step) = wrapper.system.state_dict()['steps']
    (center,) = [name for name in before if name.endswith('center')]
    assert not torch.equal(before[center], after[center])
    assert torch.equal(step['state'][center], before[center])
    # The teacher moves before the loss.
    (steps,) = [name for name in before if name.endswith('.steps')]
    assert before[steps] + 1 == after[steps] == step['state'][steps]


def test_parts_of_a_step_see_the_center_of_the_whole_step():
    found = []
    for parts in (1, 3):
        # Running statistics do not mix the images of a part.
        model = bissl_model('DINO', torch.float64).eval()
        model.pretext.center_decay = 0.5
        wrapper = made(model, num_micro_batches=dict(lower=parts))
        batches = [batch_of(0), batch_of(1)]
        for seed, batch in enumerate(batches):
            wrapper.lower_step(model, batch, seed)
        wrapper.begin_upper_phase(model, batches, seed=[0, 1])
        torch.manual_seed(0)
        v = tuple(torch.randn_like(p) for p in model.lower_backbone())
        found.append(flatten(wrapper.system.solve(v).value))
        found.append(model.pretext.center.clone())
    torch.testing.assert_close(found[2:], found[:2], rtol=1e-10, atol=1e-12)


def test_a_phase_needs_its_steps():
    model = bissl_model('SimCLR', torch.float64)
    wrapper = made(model)
    wrapper.lower_step(model, batch_of(0), 0)
    with pytest.raises(RuntimeError, match='unrolled_steps=2, .* follows 1 lower'):
        wrapper.begin_upper_phase(model, [batch_of(1), batch_of(2)], seed=9)
    counts = dict(
        num_alternations=1,
        num_lower_steps=1,
        num_upper_steps=1,
        head_warmup=None,
        num_hessian_batches=2,
        hessian_batches='last',
        backbone_adaptation=None,
        val_begin=1,
        val_interval=1,
    )
    with pytest.raises(ValueError, match='unrolled_steps=2 exceeds num_lower_steps=1'):
        LoopSettings(**counts)
    assert LoopSettings(**{**counts, 'num_lower_steps': 5}).first_hessian_batch == 3


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(hypergradient=dict(unrolled_steps=-1)), 'unrolled_steps must be'),
        (dict(hypergradient=dict(unrolled_steps=1.0)), 'unrolled_steps must be'),
        (
            dict(hypergradient=dict(unrolled_steps=1, curvature='fisher')),
            "curvature='fisher' cannot be. Set curvature='hessian'",
        ),
        (
            dict(hypergradient=dict(unrolled_steps=1, params='norm')),
            "params='norm' cannot be. Set params=None",
        ),
        (dict(hypergradient=dict(batches='last')), "batches is 'last'"),
        (dict(regularizer=dict(type='LearnedDistance')), 'is LearnedDistance'),
        (dict(regularizer=dict(type='ElasticDistance')), 'is ElasticDistance'),
        (dict(regularizer=dict(type='FisherDistance')), 'is FisherDistance'),
        (dict(lower=torch.optim.Adam), 'its optimizer is Adam'),
        (
            dict(lower=partial(torch.optim.SGD, lr=0.1, maximize=True)),
            'Set maximize=False',
        ),
        (dict(clip=dict(type='value', clip_value=1.0)), 'not by the Euclidean norm'),
        (dict(clip=dict(max_norm=1.0, norm_type=1)), 'not by the Euclidean norm'),
    ],
)
def test_settings_that_cannot_work(change, message):
    model = bissl_model('SimCLR', torch.float32)
    if 'lower' in change:
        change = dict(change, lower=change['lower'](model.pretext.parameters()))
    with pytest.raises((ValueError, TypeError), match=message):
        made(model, **change)


def test_a_clipped_step_counts_with_its_factor():
    model = bissl_model('SimCLR', torch.float64)
    wrapper = made(
        model, clip=dict(max_norm=0.01), hypergradient=dict(unrolled_steps=1)
    )
    logs = wrapper.lower_step(model, batch_of(0), 0)
    wrapper.begin_upper_phase(model, [batch_of(0)], seed=9)
    v = tuple(torch.randn_like(p) for p in model.lower_backbone())
    solution = wrapper.system.solve(v)
    # One step has no curvature: lr times the factor times lambda.
    share = 0.05 * 2.0 * 0.01 / logs['grad_norm']
    assert logs['grad_norm'] > 0.1
    torch.testing.assert_close(
        flatten(solution.value), share * flatten(v), rtol=1e-4, atol=0.0
    )
    assert logs['clipped'] == 1.0
    loose = made(model, clip=dict(max_norm=100.0))
    assert loose.lower_step(model, batch_of(0), 0)['clipped'] == 0.0
