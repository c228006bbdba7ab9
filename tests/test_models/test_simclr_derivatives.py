"""Derivatives through mmpretrain's SimCLR against independent oracles."""

import random

import numpy as np
import pytest
import torch
from small_models import build, simclr_cfg, views

from bissl_mm.hypergradient import Hessian
from bissl_mm.models import pretext_closure

KINDS = [
    pytest.param(dict(kind='SimCLR'), id='mmpretrain'),
    pytest.param(dict(), id='own'),
    pytest.param(dict(separate_views=True), id='own-separate-views'),
]


def make(kwargs):
    model = build(simclr_cfg(**kwargs))
    data = dict(inputs=views(), data_samples=None)
    params = tuple(model.backbone.parameters())
    return model, data, params


def random_direction(params, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in params
    )


def gradient(model, data, params):
    loss = model.loss(**data)['loss']
    return torch.autograd.grad(loss, params)


@pytest.mark.parametrize('kwargs', KINDS)
def test_product_equals_central_differences(kwargs):
    model, data, params = make(kwargs)
    direction = random_direction(params)
    operator = Hessian([pretext_closure(model, data, 0)], params)
    product = operator(direction)
    step = 1e-6
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(params, direction, strict=True):
                p.add_(sign * step * d)
        sides.append(gradient(model, data, params))
        with torch.no_grad():
            for p, d in zip(params, direction, strict=True):
                p.sub_(sign * step * d)
    expected = [(a - b) / (2 * step) for a, b in zip(*sides, strict=True)]
    error = sum(
        (a - b).square().sum() for a, b in zip(product, expected, strict=True)
    ).sqrt()
    scale = sum(e.square().sum() for e in expected).sqrt()
    assert error / scale <= 1e-7


@pytest.mark.parametrize(
    'kwargs',
    [
        pytest.param(
            *kind.values,
            id=kind.id,
            marks=[] if kind.id == 'own' else [pytest.mark.whole],
        )
        for kind in KINDS
    ],
)
def test_product_equals_the_dense_hessian(kwargs):
    model, data, _ = make(kwargs)
    names = (
        'backbone.bn1.weight',
        'backbone.layer1.0.conv1.weight',
        'backbone.layer4.1.bn2.bias',
    )
    named = dict(model.named_parameters())
    params = tuple(named[n] for n in names)
    sizes = [p.numel() for p in params]

    def of_flat(flat):
        parts = [x.view_as(p) for x, p in zip(flat.split(sizes), params, strict=True)]
        losses = torch.func.functional_call(
            model,
            dict(zip(names, parts, strict=True)),
            (),
            kwargs=dict(**data, mode='loss'),
        )
        return losses['loss']

    flat = torch.cat([p.detach().flatten() for p in params])
    dense = torch.autograd.functional.hessian(of_flat, flat)
    direction = random_direction(params)
    operator = Hessian([pretext_closure(model, data, 0)], params)
    product = torch.cat([p.flatten() for p in operator(direction)])
    expected = dense @ torch.cat([d.flatten() for d in direction])
    assert (product - expected).norm() / expected.norm() <= 1e-10


@pytest.mark.parametrize('kwargs', KINDS)
def test_products_leave_no_trace_and_repeat(kwargs):
    model, data, params = make(kwargs)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    direction = random_direction(params)
    generators = (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )
    operator = Hessian([pretext_closure(model, data, 0)], params)
    products = [operator(direction) for _ in range(10)]
    for product in products[1:]:
        for a, b in zip(product, products[0], strict=True):
            assert torch.equal(a, b)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert generators == (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )


def test_own_loss_is_mmpretrains_in_one_process():
    own = build(simclr_cfg())
    stock = build(simclr_cfg('SimCLR'))
    stock.load_state_dict(own.state_dict())
    data = dict(inputs=views(), data_samples=None)
    losses = [m.loss(**data)['loss'] for m in (own, stock)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0.0)
    grads = [
        torch.autograd.grad(loss, tuple(m.parameters()))
        for loss, m in zip(losses, (own, stock), strict=True)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_separate_views_have_their_own_batch_statistics():
    joint = build(simclr_cfg())
    apart = build(simclr_cfg(separate_views=True))
    first, second = views()
    data = dict(inputs=[first, second + 1.0], data_samples=None)
    assert abs(joint.loss(**data)['loss'] - apart.loss(**data)['loss']) > 1e-3


def test_wrong_number_of_views_is_named():
    model = build(simclr_cfg())
    with pytest.raises(ValueError, match='expected 2 views, got 3'):
        model.loss([*views(), views()[0]], None)
