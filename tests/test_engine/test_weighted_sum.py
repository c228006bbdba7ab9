"""The weighted sum of both losses against plain descent on that sum."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from test_bissl_loop import batches, downstream_batch, pretext_batch, toy_runner
from toy import ToyDownstream, ToyPretext

from bissl_mm.engine import ProgressBarHook, WeightedSumOptimWrapper
from bissl_mm.models import BiSSLModel
from bissl_mm.utils.errors import ValueRefusal

pytestmark = pytest.mark.usefixtures('plain_config_text')


def shared_model():
    torch.manual_seed(0)
    return BiSSLModel(ToyPretext(), ToyDownstream(), share_backbone=True)


def sgd(module):
    return OptimWrapper(torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9))


@pytest.mark.parametrize('weight', [0.0, 0.25, 1.0])
def test_steps_are_descent_on_the_weighted_sum(weight, tmp_path, float64):
    """Eq. (10), clipped over the backbone and both heads together."""
    lower, upper = batches(3, pretext_batch, 1), batches(3, downstream_batch, 2)
    expected, model = shared_model(), shared_model()
    params = list({id(p): p for p in expected.parameters()}.values())
    optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    for below, above in zip(lower, upper, strict=True):
        optimizer.zero_grad()
        losses = [
            part(**batch, mode='loss')['loss']
            for part, batch in ((expected.pretext, below), (expected.downstream, above))
        ]
        ((1 - weight) * losses[0] + weight * losses[1]).backward()
        torch.nn.utils.clip_grad_norm_(params, 0.05)
        optimizer.step()
    levels = [sgd(m) for m in (model.pretext, model.downstream, model.downstream)]
    wrapper = WeightedSumOptimWrapper(
        *levels,
        weight=weight,
        clip_norm=0.05,
        hypergradient=dict(batches='first'),
        regularizer=dict(weight=1.0),
    )
    steps = dict(num_alternations=3, num_lower_steps=1, num_upper_steps=1)
    toy_runner(tmp_path, model, lower, upper, wrapper, **steps).train()
    for (name, a), (_, b) in zip(
        model.named_parameters(), expected.named_parameters(), strict=True
    ):
        # clip_grad_norm_ adds 1e-6 to the norm.
        torch.testing.assert_close(
            a, b, rtol=1e-5, atol=1e-6, msg=lambda text: f'{name}: {text}'
        )


def test_weight_outside_the_interval_is_refused():
    model = shared_model()
    levels = [sgd(m) for m in (model.pretext, model.downstream, model.downstream)]
    with pytest.raises(ValueRefusal, match=r'weight is 1\.5'):
        WeightedSumOptimWrapper(*levels, weight=1.5)


def test_a_progress_bar_counts_both_levels(tmp_path, capfd):
    """The lower steps have no loss to show."""
    lower, upper = batches(3, pretext_batch, 1), batches(3, downstream_batch, 2)
    model = shared_model()
    levels = [sgd(m) for m in (model.pretext, model.downstream, model.downstream)]
    wrapper = WeightedSumOptimWrapper(
        *levels, hypergradient=dict(batches='first'), regularizer=dict(weight=1.0)
    )
    steps = dict(num_alternations=3, num_lower_steps=1, num_upper_steps=1)
    runner = toy_runner(tmp_path, model, lower, upper, wrapper, **steps)
    runner.register_hook(ProgressBarHook())
    runner.train()
    assert '6/6' in capfd.readouterr().err
