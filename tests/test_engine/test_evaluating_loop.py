"""Evaluations within an epoch."""

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from bissl_mm.engine import EvaluatingTrainLoop
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


def trained(tmp_path, **settings):
    loader = dict(
        dataset=Numbers(),
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    look = Look()
    runner = Runner(
        Model(),
        str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(type=EvaluatingTrainLoop, max_epochs=2, **settings),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        val_dataloader=dict(loader, batch_size=7),
        val_evaluator=dict(type=Value),
        val_cfg=dict(),
        default_hooks=dict(checkpoint=None, logger=None),
        log_level='ERROR',
        experiment_name=str(tmp_path).replace('/', '_'),
    )
    runner.register_hook(look)
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
