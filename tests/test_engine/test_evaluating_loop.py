"""Evaluations within an epoch."""

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from bissl_mm.analysis.scalars import read_scalars
from bissl_mm.engine import EvaluatingTrainLoop
from bissl_mm.utils.checkpoint import load_checkpoint
from bissl_mm.utils.errors import Refusal


class Numbers(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return torch.tensor([float(index)])


class Model(BaseModel):
    """Counts its steps; notes in which mode they are."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.modes = []

    def forward(self, *inputs, mode='tensor'):
        self.modes.append((mode, self.training))
        if mode == 'predict':
            return [dict(value=self.weight.detach().clone())]
        return dict(loss=self.weight.sum())


class Value(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(data_samples[0]['value'].item())

    def compute_metrics(self, results):
        return dict(value=results[0])


class Look(Hook):
    def __init__(self):
        self.steps, self.places = 0, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps += 1

    def after_val_epoch(self, runner, metrics=None):
        self.places.append(self.steps)


class Interrupt(Hook):
    """Ends the process after the n-th step."""

    priority = 'VERY_LOW'

    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step:
            raise KeyboardInterrupt


def make(tmp_path, hooks, default_hooks, resume=False, **settings):
    loader = dict(
        dataset=Numbers(),
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(type=EvaluatingTrainLoop, max_epochs=2, **settings),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        val_dataloader=dict(loader, batch_size=7),
        val_evaluator=dict(type=Value),
        val_cfg=dict(),
        default_hooks=default_hooks,
        resume=resume,
        log_level='ERROR',
        experiment_name=str(tmp_path).replace('/', '_') + str(resume),
    )
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def trained(tmp_path, **settings):
    look = Look()
    runner = make(tmp_path, [look], dict(checkpoint=None, logger=None), **settings)
    runner.train()
    return look.places, runner.model.modes


@pytest.mark.parametrize(
    'settings, places',
    [
        (dict(), [7, 14]),
        (dict(evaluations_per_epoch=3), [2, 5, 7, 9, 12, 14]),
        (dict(evaluations_per_epoch=3, val_begin=2), [9, 12, 14]),
        (dict(evaluations_per_epoch=10), list(range(1, 15))),
    ],
)
def test_evaluations_are_evenly_spaced_and_end_with_the_epoch(
    settings, places, tmp_path
):
    found, modes = trained(tmp_path, **settings)
    assert found == places
    assert all(training == (mode == 'loss') for mode, training in modes)


@pytest.mark.parametrize(
    'settings', [dict(evaluations_per_epoch=0), dict(val_interval=2)]
)
def test_other_settings_are_refused(settings, tmp_path):
    with pytest.raises(Refusal, match=next(iter(settings))):
        trained(tmp_path, **settings)


def test_a_best_evaluation_within_an_epoch_leaves_the_last_checkpoint(tmp_path):
    """Each step lowers the weight by one, so each evaluation is the best so far."""
    best = dict(type='CheckpointHook', interval=1, save_best='value', rule='less')

    def runner(*hooks, **settings):
        return make(
            tmp_path, hooks, dict(checkpoint=best), evaluations_per_epoch=3, **settings
        )

    with pytest.raises(KeyboardInterrupt):
        runner(Interrupt(13)).train()
    saved = load_checkpoint(str(tmp_path / 'epoch_1.pth'))
    assert (saved['meta']['epoch'], saved['meta']['iter']) == (1, 7)
    assert saved['state_dict']['weight'].item() == -7
    assert saved['message_hub']['runtime_info']['best_score'] == -7
    (file,) = tmp_path.glob('best_*.pth')
    assert load_checkpoint(str(file))['state_dict']['weight'].item() == -12
    resumed = runner(resume=True)
    resumed.train()
    assert (resumed.iter, resumed.model.weight.item()) == (14, -14)
    assert (tmp_path / 'epoch_2.pth').exists()


def test_each_evaluation_has_its_place_in_the_log(tmp_path):
    make(tmp_path, [], dict(checkpoint=None), evaluations_per_epoch=3).train()
    found = read_scalars(str(tmp_path))['value']
    assert found == dict(step=[2, 5, 7, 9, 12, 14], value=[-2, -5, -7, -9, -12, -14])
