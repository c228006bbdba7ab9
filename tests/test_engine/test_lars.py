"""LARS against the published form, and its settings."""

import copy
import math
import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS, init_default_scope
from test_conformance import Case, cases
from torch import nn

from bissl_mm.engine import LARS


def named(case):
    """The parameters of a case by their names."""
    return {
        name: nn.Parameter(value.clone())
        for name, value in case.part('in/').items()
        if not re.match(r'grad\d+\.', name)
    }


def optimizer_of(case, params, **changes):
    settings = case.settings
    return LARS(
        params.values(),
        **{
            'lr': settings['lr'][0],
            'momentum': settings['momentum'],
            'weight_decay': settings['weight_decay'],
            'eta': settings['trust_coefficient'],
            **changes,
        },
    )


def take_step(case, optimizer, params, step):
    for name, param in params.items():
        param.grad = case[f'in/grad{step}.{name}'].clone()
    optimizer.param_groups[0]['lr'] = case.settings['lr'][step]
    optimizer.step()


@pytest.mark.conformance
@pytest.mark.parametrize('path', cases('lars'))
def test_steps_equal_the_published_ones(path):
    case = Case(path)
    params = named(case)
    optimizer = optimizer_of(case, params)
    for step in range(case.settings['steps']):
        take_step(case, optimizer, params, step)
        for name, param in params.items():
            torch.testing.assert_close(
                param.detach(), case[f'out/step{step}.{name}'], rtol=1e-10, atol=1e-14
            )


@pytest.mark.conformance
@pytest.mark.parametrize('path', cases('lars')[:1])
def test_resumed_steps_are_the_same(path):
    case = Case(path)
    params = named(case)
    optimizer = optimizer_of(case, params)
    for step in range(5):
        take_step(case, optimizer, params, step)
    again = {
        name: nn.Parameter(param.detach().clone()) for name, param in params.items()
    }
    other = optimizer_of(case, again)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(5, case.settings['steps']):
        take_step(case, optimizer, params, step)
        take_step(case, other, again, step)
    for name, param in params.items():
        assert torch.equal(param, again[name]), name


def one_step(**settings):
    """The moves of a matrix and a vector in one step, divided by the rate."""
    matrix, vector = (
        nn.Parameter(torch.full(shape, 2.0, dtype=torch.float64))
        for shape in ((2, 2), (4,))
    )
    optimizer = LARS([matrix, vector], lr=0.5, weight_decay=0.25, eta=0.1, **settings)
    for param in (matrix, vector):
        param.grad = torch.tensor([1.0, -1.0] * 2).double().view_as(param)
    optimizer.step()
    return [((2.0 - param) / 0.5).flatten()[0].item() for param in (matrix, vector)]


def test_exclusions_are_by_dimension():
    # With decay the update is (1.5, -0.5, 1.5, -0.5), without (1, -1, 1, -1).
    decayed, plain = 0.1 * 4 / 5**0.5 * 1.5, 0.1 * 4 / 2
    assert one_step() == pytest.approx([decayed, decayed])
    assert one_step(min_decay_dims=2) == pytest.approx([decayed, plain])
    assert one_step(min_trust_dims=2) == pytest.approx([decayed, 1.5])
    assert one_step(min_trust_dims=2, min_decay_dims=2) == pytest.approx([decayed, 1.0])


@pytest.mark.parametrize(
    'min_decay_dims, min_trust_dims', [(0, 0), (2, 0), (0, 2), (2, 2), (1, 4), (4, 1)]
)
def test_steps_of_each_kind_of_tensor_equal_those_of_floats(
    min_decay_dims, min_trust_dims
):
    """The formulas of the class, written out in Python's floats."""
    shapes = dict(scale=(), bias=(3,), matrix=(3, 2), kernel=(2, 3, 1, 2))
    random = torch.Generator().manual_seed(0)

    def draw(shape):
        return torch.randn(shape, dtype=torch.float64, generator=random)

    params = {name: nn.Parameter(draw(shape)) for name, shape in shapes.items()}
    values = {name: p.detach().flatten().tolist() for name, p in params.items()}
    buffers = {name: [0.0] * len(v) for name, v in values.items()}
    optimizer = LARS(
        params.values(),
        lr=1.0,
        momentum=0.8,
        weight_decay=0.3,
        eta=0.05,
        min_decay_dims=min_decay_dims,
        min_trust_dims=min_trust_dims,
    )
    for lr in (0.5, 0.7, 0.1):
        for param in params.values():
            param.grad = draw(param.shape)
        optimizer.param_groups[0]['lr'] = lr
        optimizer.step()
        for name, param in params.items():
            dims, old = len(shapes[name]), values[name]
            decay = 0.3 if dims >= min_decay_dims else 0.0
            update = [
                g + decay * p
                for g, p in zip(param.grad.flatten().tolist(), old, strict=True)
            ]
            trust = (
                0.05 * math.hypot(*old) / math.hypot(*update)
                if dims >= min_trust_dims
                else 1.0
            )
            buffers[name] = [0.8 * b + trust * u for b, u in zip(buffers[name], update)]
            values[name] = [p - lr * b for p, b in zip(old, buffers[name])]
            assert param.detach().flatten().tolist() == pytest.approx(
                values[name], rel=1e-10, abs=1e-12
            ), name


def test_parameter_without_gradient_stays_and_settings_are_checked():
    used, unused = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = LARS([used, unused], lr=1.0)
    used.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(unused, torch.ones(3)) and not optimizer.state[unused]
    assert not torch.equal(used, torch.ones(3))
    with pytest.raises(ValueError, match='LARS: eta must be'):
        LARS([used], lr=1.0, eta=-1.0)


def test_momentum_of_another_lars_is_refused():
    param = nn.Parameter(torch.ones(3))
    other = OPTIMIZERS.build(
        dict(type='mmpretrain.LARS', params=[param], lr=1.0, momentum=0.9)
    )
    optimizer = LARS([param], lr=1.0)
    with pytest.raises(ValueError, match='belongs to another optimizer'):
        optimizer.load_state_dict(other.state_dict())


def test_config_of_another_scope_builds_it():
    init_default_scope('mmpretrain')
    wrapper = build_optim_wrapper(
        nn.Linear(2, 2),
        dict(optimizer=dict(type='bissl_mm.LARS', lr=1.0, momentum=0.9)),
    )
    assert type(wrapper.optimizer) is LARS
