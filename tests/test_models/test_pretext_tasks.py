"""Second derivatives of mmpretrain's self-supervised methods."""

import pytest
import torch
from masked_models import MASKED
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel
from mmpretrain.models import SwAV
from pretext_models import METHODS, byol, make
from small_models import build, views
from torch import nn

from bissl_mm.hypergradient import Hessian
from bissl_mm.models import BYOL, pretext_closure
from bissl_mm.models.checks import check_differentiable
from bissl_mm.utils.target_networks import restart_targets, target_names


@pytest.fixture(autouse=True)
def max_iters():
    """What mmpretrain's scheduled averages read."""
    MessageHub.get_current_instance().update_info('max_iters', 100)


@pytest.fixture(params=METHODS)
def operator(request):
    model, data = make(request.param)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BaseAveragedModel):
                # The target differs from its network, as in the middle of training.
                for param in module.parameters():
                    param.add_(0.02 * torch.randn_like(param))
    params = tuple(p for p in model.backbone.parameters() if p.requires_grad)
    closure = pretext_closure(model, data, seed=4)
    torch.manual_seed(5)
    direction = tuple(torch.randn_like(p) for p in params)
    return model, params, closure, direction


def hold_targets(model, monkeypatch):
    """Stopped gradients become constants, those of the first forward pass.

    SimSiam compares with its own detached output: no derivative passes
    there, but finite differences would.
    """
    loss, targets, count = model.head.loss, [], [0]

    def with_first_target(online, target):
        index = count[0] % 2
        count[0] += 1
        if len(targets) == index:
            targets.append(target.detach().clone())
        return loss(online, targets[index])

    monkeypatch.setattr(model.head, 'loss', with_first_target)


def test_product_equals_finite_differences(operator, monkeypatch):
    model, params, closure, direction = operator
    if type(model).__name__ == 'SimSiam':
        hold_targets(model, monkeypatch)
    product = Hessian([closure], params)(direction)

    def gradient(step):
        with torch.no_grad():
            for param, d in zip(params, direction):
                param.add_(d, alpha=step)
        grads = torch.autograd.grad(closure(), params, allow_unused=True)
        with torch.no_grad():
            for param, d in zip(params, direction):
                param.sub_(d, alpha=step)
        return torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).flatten()
                for g, p in zip(grads, params)
            ]
        )

    # So small that no ReLU input changes its sign.
    step = 1e-7
    expected = (gradient(step) - gradient(-step)) / (2 * step)
    found = torch.cat([p.flatten() for p in product])
    assert expected.norm() > 1e-3
    assert (found - expected).norm() <= 1e-6 * expected.norm()


def test_ten_products_repeat_and_leave_no_trace(operator):
    model, params, closure, direction = operator
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    first = Hessian([closure], params)(direction)
    held = Hessian([closure], params)
    for _ in range(9):
        for a, b in zip(first, held(direction), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_target_follows_the_closed_recursion():
    decay, steps = 0.9, 7
    model = build(byol(target_decay=decay)).train()
    data = dict(inputs=views(6), data_samples=None)
    params = tuple(model.backbone.parameters())
    name = 'backbone.conv1.weight'
    weights = []
    torch.manual_seed(1)
    for i in range(steps):
        weights.append(model.get_parameter(name).detach().clone())
        model(**data, mode='loss')
        # Any number of products in between.
        operator = Hessian([pretext_closure(model, data, 0)], params)
        for _ in range(i % 3):
            operator(params)
        with torch.no_grad():
            for param in params:
                param.add_(0.1 * torch.randn_like(param))
    expected = decay ** (steps - 1) * weights[0] + sum(
        (1 - decay) * decay ** (steps - 1 - i) * weights[i] for i in range(1, steps)
    )
    target = model.target_net.module[0].conv1.weight
    torch.testing.assert_close(target, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(target_decay=1.0), r'target_decay must lie in \(0, 1\), but is 1.0'),
        (dict(target_schedule='linear'), "'constant', 'cosine'"),
        (dict(base_momentum=0.004), 'Set target_decay=0.996'),
    ],
)
def test_bad_decay_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        BYOL(backbone={}, neck={}, head={}, **kwargs)


def test_swav_is_refused():
    pretext = SwAV.__new__(SwAV)
    torch.nn.Module.__init__(pretext)
    with pytest.raises(
        TypeError,
        match="mmpretrain's SwAV normalises its prototypes.*Use another pretext task",
    ):
        check_differentiable(pretext, torch.nn.Linear(1, 1))


def test_the_teacher_of_cae_starts_from_the_backbone():
    model = build(MASKED['CAE'][0]())
    with torch.no_grad():
        # As a file of a backbone does, after the weights were initialised.
        for param in model.backbone.parameters():
            param.add_(1.0)
    restart_targets(model)
    teacher = model.teacher.state_dict()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(teacher[name], value), name
        assert teacher[name].data_ptr() != value.data_ptr()
    assert target_names(nn.Sequential(model, build(byol()))) == [
        '0.teacher',
        '1.target_net',
    ]
