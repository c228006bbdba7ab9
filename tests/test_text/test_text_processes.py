"""Two processes with different sentences against one process with all of them."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.models import BiSSLModel
from bissl_mm.text import GPTClassifier, GPTLanguageModel

pytestmark = pytest.mark.dist
VOCAB = 11
# Each process draws a dropout of its own.
BACKBONE = dict(
    type='bissl_mm.GPTBackbone',
    vocab_size=VOCAB,
    context=8,
    embed_dims=8,
    num_layers=2,
    num_heads=2,
    dropout=0.0,
)
HEAD = dict(type='bissl_mm.GPTHead', dropout=0.0)


def part(values, rank, world):
    """This process's share of a batch."""
    size = len(values) // world
    return values[rank * size : (rank + 1) * size]


def relative_error(actual, expected):
    actual, expected = (torch.cat([t.flatten() for t in x]) for x in (actual, expected))
    return ((actual - expected).norm() / expected.norm()).item()


def chunks(rank, world, seed):
    generator = torch.Generator().manual_seed(seed)
    return dict(
        inputs=part(torch.randint(VOCAB, (4, 8), generator=generator), rank, world)
    )


def pairs(rank, world):
    """Four pairs in both orders, with the new tokens."""
    generator = torch.Generator().manual_seed(9)
    a, b = torch.randint(VOCAB, (2, 4, 2), generator=generator)
    start, end, delimiter = (torch.full((4, 1), VOCAB + i) for i in range(3))
    orders = [torch.cat([start, x, delimiter, y, end], 1) for x, y in ((a, b), (b, a))]
    samples = [BaseDataElement(gt_label=torch.tensor([i % 2])) for i in range(4)]
    return dict(
        inputs=part(torch.stack(orders, 1), rank, world),
        data_samples=part(samples, rank, world),
    )


def steps(rank, world, curvature):
    """A lower and an upper step; the upper gradient, then the weights."""
    torch.manual_seed(0)
    pretext = GPTLanguageModel(BACKBONE).double()
    downstream = GPTClassifier(BACKBONE, HEAD).double()
    model = BiSSLModel(pretext, downstream)
    wrappers = {
        name: OptimWrapper(torch.optim.SGD(level.parameters(), lr=0.1))
        for name, level in (
            ('lower', pretext),
            ('upper', downstream),
            ('head_warmup', downstream),
        )
    }
    wrapper = BiSSLOptimWrapper(
        **wrappers,
        regularizer=dict(weight=0.1),
        hypergradient=dict(
            damping=1.0,
            curvature=curvature,
            solver=dict(type='MinresSolver', max_iters=4),
        ),
    )
    wrapper.regularizer.tie(model.levels.lower_names, model.levels.theta_p)
    wrapper.head_warmup_step(model, pairs(rank, world), seed=rank)
    wrapper.lower_step(model, chunks(rank, world, 1), seed=rank)
    wrapper.begin_upper_phase(model, [chunks(rank, world, 2)], seed=rank)
    found = wrapper.upper_gradient(model, pairs(rank, world), seed=rank)
    grads = [g.numpy() for g in found.gradients.values()]
    # The system is more than the identity.
    assert relative_error(found.solution.value, found.v) > 1e-2
    wrapper.upper_step(model, pairs(rank, world), seed=rank)
    return grads, [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize(
    'curvature, error', [('hessian', 1e-10), ('differences', 1e-3)]
)
def test_steps_equal_one_process(curvature, error, pool):
    expected = steps(0, 1, curvature)
    first, second = pool.run(steps, curvature)
    for kind in range(2):
        theirs, mine, reference = (
            [torch.from_numpy(array) for array in found[kind]]
            for found in (second, first, expected)
        )
        assert relative_error(mine, reference) <= error
        assert all(map(torch.equal, mine, theirs))
