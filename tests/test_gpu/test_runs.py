"""Whole runs on a GPU."""

import pytest
import torch
from mmengine.hooks import Hook
from small_run import make_runner, small_config, weights


class StopInUpperPhase(Hook):
    priority = 'VERY_HIGH'

    def after_upper_step(self, runner, **kwargs):
        runner.train_loop.request_stop(15)


@pytest.mark.gpu
@pytest.mark.usefixtures('plain_config_text')
def test_run_that_stops_in_an_upper_phase_on_cuda_is_resumed(
    image_folders, tmp_path, monkeypatch
):
    """Up to the order of atomic additions, as without the stop."""
    monkeypatch.setenv('BISSL_LOOK', '0')

    def run(name, hooks=(), resume=False):
        cfg = small_config(
            monkeypatch,
            image_folders,
            tmp_path / name,
            train_cfg__num_alternations=2,
            optim_wrapper__hypergradient__damping=1000.0,
        )
        cfg.resume = resume
        runner = make_runner(cfg, hooks)
        assert next(runner.model.parameters()).is_cuda
        runner.train()
        return weights(runner)

    whole = run('whole')
    with pytest.raises(SystemExit):
        run('parts', [StopInUpperPhase()])
    resumed = run('parts', resume=True)
    for name, value in whole.items():
        torch.testing.assert_close(
            resumed[name],
            value,
            rtol=1e-3,
            atol=1e-4,
            msg=lambda text: f'{name} {text}',
        )
