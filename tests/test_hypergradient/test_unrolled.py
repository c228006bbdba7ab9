"""The derivative of SGD's steps against autograd through them."""

import pytest
import torch
from solver_table import flatten
from torch import nn
from torch.func import functional_call

from bissl_mm.hypergradient import Diagonal, Hessian
from bissl_mm.hypergradient.unrolled import SGDStep, UnrolledSolves, UnrolledSteps

WEIGHT = 0.4
#: Settings of SGD; the first tensor has other ones than the rest.
RULES = {
    'plain': (dict(lr=0.1), dict(lr=0.2)),
    'momentum': (
        dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.2),
        dict(lr=0.3, momentum=0.5, weight_decay=0.0),
    ),
    'nesterov': (
        dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        dict(lr=0.1, momentum=0.0, dampening=0.5),
    ),
}
DEFAULTS = dict(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)


@pytest.mark.parametrize('clip', [1.0, 0.6])
@pytest.mark.parametrize('name', RULES)
def test_steps_of_sgd_against_autograd_through_them(name, clip):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    names = [n for n, _ in net.named_parameters()]
    batches = [torch.randn(5, 3, dtype=torch.float64) for _ in range(3)]
    # The first two tensors are the backbone.
    theta_d = tuple(torch.randn_like(p).requires_grad_() for p in net.parameters())[:2]
    factors = (0.5, torch.rand(4, dtype=torch.float64))
    rules = [{**DEFAULTS, **RULES[name][int(i > 0)]} for i in range(4)]

    def loss(params, x):
        return functional_call(net, dict(zip(names, params)), (x,)).square().mean()

    params, buffers = tuple(net.parameters()), [None] * 4
    optimizer = torch.optim.SGD(
        [dict(params=[p], **r) for p, r in zip(net.parameters(), rules)]
    )
    steps = []
    for x in batches:
        leaves = tuple(p.detach().clone().requires_grad_() for p in params)
        steps.append(
            SGDStep(
                Hessian([lambda leaves=leaves, x=x: loss(leaves, x)], leaves),
                WEIGHT,
                clip,
                **{key: [r[key] for r in rules] for key in ('lr', *DEFAULTS)},
                begins=[m is None for m in buffers],
            )
        )
        grads = list(torch.autograd.grad(loss(params, x), params, create_graph=True))
        for i in range(2):
            grads[i] = grads[i] + WEIGHT * factors[i] * (params[i] - theta_d[i])
        moved = []
        for i, (p, g, rule) in enumerate(zip(params, grads, rules)):
            g = clip * g
            optimizer.param_groups[i]['params'][0].grad = g.detach()
            g = g + rule['weight_decay'] * p
            m = buffers[i]
            if rule['momentum']:
                m = (
                    g
                    if m is None
                    else rule['momentum'] * m + (1 - rule['dampening']) * g
                )
                g = g + rule['momentum'] * m if rule['nesterov'] else m
            buffers[i] = m
            moved.append(p - rule['lr'] * g)
        # torch's own steps, which the ones with a graph must be.
        optimizer.step()
        for p, q in zip(net.parameters(), moved):
            torch.testing.assert_close(p, q)
        params = tuple(moved)
    v = (*(torch.randn_like(t) for t in theta_d), *map(torch.zeros_like, params[2:]))
    expected = torch.autograd.grad(params, theta_d, v)
    diagonal = Diagonal(factors, True)
    unrolled = UnrolledSteps(steps, diagonal, diagonal, 2)
    solution = UnrolledSolves(unrolled).solve(v)
    torch.testing.assert_close(
        flatten(solution.value), flatten(expected), rtol=1e-10, atol=1e-12
    )
    assert solution.num_iters == 3
