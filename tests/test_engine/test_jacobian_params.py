"""The implicit Jacobian through some parameters only."""

import pytest
import torch
from pretext_models import bissl_model, sgd_wrapper, two_views

from bissl_mm.engine.steps.params import select
from bissl_mm.hypergradient import DenseSolver, Domain, implicit_jacobian_product
from bissl_mm.models import pretext_closure


def test_block_of_the_dense_system():
    torch.manual_seed(0)
    root = torch.randn(5, 5).double()
    matrix = torch.eye(5) + root @ root.T
    v = tuple(torch.randn(n).double() for n in (2, 1, 2))
    block = matrix[[0, 1, 3, 4]][:, [0, 1, 3, 4]]

    def operator(vectors):
        return tuple((block @ torch.cat(vectors)).split([2, 2]))

    solution = implicit_jacobian_product(
        v, DenseSolver().bind(operator), True, Domain([True, False, True])
    )
    expected = torch.linalg.solve(block, torch.cat([v[0], v[2]]))
    first, kept, last = solution.value
    torch.testing.assert_close(torch.cat([first, last]), expected)
    assert torch.equal(kept, v[1]) and kept is not v[1]
    assert solution.true_residual_norm < 1e-12


@pytest.mark.parametrize(
    'wanted, number',
    [
        (None, 60),
        ('norm', 40),
        (['layer4'], 15),
        ([r'^backbone\.conv1', 'bn1\\.w'], 10),
    ],
)
def test_wrapper_solves_for_the_chosen_ones(wanted, number):
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(model, hypergradient=dict(params=wanted))
    batch = two_views()
    wrapper.begin_upper_phase(model, [batch], seed=0)
    names = [name for name, _ in model.pairs.params]
    params = model.lower_backbone()
    assert len(wrapper.system.curvature_operator.params) == number
    torch.manual_seed(1)
    v = tuple(torch.randn_like(p) for p in params)
    found = wrapper.system.solve(v).value
    changed = [not torch.equal(a, b) for a, b in zip(found, v)]
    assert changed == wrapper.system.domain.through
    assert {n for n, c in zip(names, changed) if c} == {
        n
        for n, p in zip(names, params)
        if any(p is q for q in wrapper.system.curvature_operator.params)
    }
    # One product by hand, with the block of the whole Hessian.
    closure = pretext_closure(model.pretext, batch, 0)
    grads = torch.autograd.grad(closure(), params, create_graph=True)
    total = sum((g * x).sum() for g, x, c in zip(grads, v, changed) if c)
    expected = [p for p, c in zip(torch.autograd.grad(total, params), changed) if c]
    product = wrapper.system.curvature_operator(
        tuple(x for x, c in zip(v, changed) if c)
    )
    for a, b in zip(product, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    'wanted, message',
    [
        ('layer4', r"must be 'norm' or a list .*, for example \['layer4'\]"),
        (
            ['layer9'],
            'names no parameter of the lower backbone. It has 60: '
            "'backbone.conv1.weight'",
        ),
        (['('], r"'\(' is not a regular expression"),
    ],
)
def test_bad_choices_are_refused(wanted, message):
    model = bissl_model('SimCLR', torch.float64)
    with pytest.raises(ValueError, match=message):
        select(model.pretext, [name for name, _ in model.pairs.params], wanted)
