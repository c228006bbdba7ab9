"""Stages whose regularizer is not the published one. A new one is one row."""

import pytest
import torch
from small_run import make_runner, small_config, weights
from test_resume import StopAt

from bissl_mm.registry import build_regularizer

pytestmark = pytest.mark.usefixtures('plain_config_text')

REGULARIZERS = {
    'scheduled': dict(
        type='ScheduledDistance',
        schedule='exponential_increase',
        max_weight=0.5,
        min_weight=0.1,
    )
}


@pytest.mark.parametrize('name', REGULARIZERS)
def test_a_stage_goes_on_bit_for_bit_and_logs_lambda(
    name, image_folders, tmp_path, monkeypatch
):
    def config(folder):
        cfg = small_config(
            monkeypatch,
            image_folders,
            tmp_path / folder,
            train_cfg__num_alternations=3,
            default_hooks__checkpoint__interval=1,
            optim_wrapper__hypergradient__solver=dict(
                type='RecyclingSolver', max_iters=2
            ),
        )
        cfg.optim_wrapper.regularizer = REGULARIZERS[name]
        return cfg

    def run(cfg, hooks=()):
        runner = make_runner(cfg, hooks)
        runner.train()
        return runner

    whole = run(config('whole'))
    cfg = config('parts')
    # In the upper phase of the second alternation.
    with pytest.raises(SystemExit):
        run(cfg, [StopAt('after_upper_step', 3)])
    cfg.resume = True
    again = run(cfg)
    for key, value in weights(again).items():
        assert torch.equal(value, weights(whole)[key]), key
    logged = again.message_hub.get_scalar('train/regime/lambda').data[0]
    expected = build_regularizer(REGULARIZERS[name]).weights(3)
    assert logged.tolist() == pytest.approx(expected)
    constant = config('constant')
    constant.optim_wrapper.regularizer = dict(
        type='SquaredDistance', weight=expected[-1]
    )
    other = weights(run(constant))
    assert any(not torch.equal(weights(whole)[k], v) for k, v in other.items())
