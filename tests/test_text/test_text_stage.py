"""The bilevel stage with GPT: resumption, and both curvatures."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from small_run import StopAt, make_runner, weights
from torch.utils.data import Dataset

from bissl_mm.config.tasks import TASK

pytestmark = pytest.mark.usefixtures('plain_config_text')

CONFIG = ROOT / 'configs/text/bissl-gpt_b16-5x2-10t_small.py'
VOCAB = 30
OPTIONS = {
    'model.pretrained': None,
    'train_cfg.num_alternations': 2,
    'train_cfg.num_lower_steps': 3,
    'train_cfg.num_upper_steps': 2,
    'train_cfg.pretext_dataloader.total_batch_size': 4,
    'train_cfg.pretext_dataloader.dataset.context': 8,
    'train_dataloader.total_batch_size': 4,
    'optim_wrapper.hypergradient.solver.max_iters': 3,
    'param_scheduler.lower.0.end': 2,
    'param_scheduler.lower.1.begin': 2,
    'default_hooks.checkpoint.interval': 1,
    'log_level': 'ERROR',
}
TINY = dict(context=16, embed_dims=8, num_heads=2, num_layers=1)


class Pairs(Dataset):
    """Pairs of sentences of several lengths, as ``GLUEDataset`` gives them."""

    metainfo = dict(classes=('no', 'yes'))

    def __len__(self):
        return 12

    def get_data_info(self, index):
        return dict(sample_idx=index)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        first, second = (rng.integers(0, VOCAB, 2 + index % 3) for _ in range(2))
        tokens = [VOCAB, *first, VOCAB + 2, *second, VOCAB + 1]
        sample = BaseDataElement(metainfo=dict(sample_idx=index, vocab_size=VOCAB))
        sample.gt_label = torch.tensor([index % 2])
        return dict(inputs=torch.tensor(tokens), data_samples=sample)


@pytest.fixture
def config(monkeypatch, tmp_path):
    """A function: name of a work folder and options to a config."""
    books = tmp_path / 'books'
    books.mkdir()
    np.random.default_rng(0).integers(0, VOCAB, 400, dtype='<i4').tofile(
        books / 'tokens.bin'
    )
    monkeypatch.setenv('BISSL_DATA_DIR', str(tmp_path))
    monkeypatch.setenv('BISSL_VOCAB_SIZE', str(VOCAB))
    monkeypatch.setenv(TASK, 'rte')

    def made(name: str, options: dict | None = None) -> Config:
        cfg = Config.fromfile(CONFIG)
        for model in (cfg.model.pretext, cfg.model.downstream):
            model.backbone.update(TINY)
        cfg.merge_from_dict({**OPTIONS, **(options or {})})
        cfg.train_dataloader.dataset = dict(type=Pairs)
        for part in ('val', 'test'):
            for key in ('dataloader', 'evaluator', 'cfg'):
                cfg.pop(f'{part}_{key}')
        cfg.work_dir = str(tmp_path / name)
        return cfg

    return made


def trained(cfg, hooks=()):
    runner = make_runner(cfg, hooks)
    runner.train()
    return runner


@pytest.mark.parametrize(
    'event, count', [('after_lower_step', 4), ('after_upper_step', 3)]
)
def test_a_stage_goes_on_bit_for_bit(event, count, config):
    """Stopped within the phases of the second alternation; with dropout."""
    whole = weights(trained(config('whole')))
    cfg = config('parts')
    stopped = make_runner(cfg, [StopAt(event, count)])
    with pytest.raises(SystemExit):
        stopped.train()
    partial = weights(stopped)
    cfg.resume = True
    again = weights(trained(cfg))
    assert any(not torch.equal(partial[k], v) for k, v in again.items())
    for name, value in whole.items():
        assert torch.equal(again[name], value), name


def flat(state: dict) -> torch.Tensor:
    return torch.cat([v.flatten() for v in state.values()])


def test_differences_of_gradients_serve_as_well_as_double_backward(config, float64):
    """Through a whole stage. The rate of SGD is in proportion to the gradient."""
    sgd = {
        f'optim_wrapper.{level}.optimizer': dict(
            _delete_=True, type='SGD', lr=0.05, weight_decay=0.0
        )
        for level in ('lower', 'upper')
    }
    found = {}
    for name, change in dict(
        hessian=dict(curvature='hessian'),
        differences=dict(curvature='differences'),
        identity=dict(solver=dict(_delete_=True, type='IdentitySolver')),
    ).items():
        changes = {f'optim_wrapper.hypergradient.{k}': v for k, v in change.items()}
        if name != 'identity':
            # The published solver enlarges errors where it diverges.
            changes['optim_wrapper.hypergradient.damping'] = 1.0
            changes['optim_wrapper.hypergradient.solver'] = dict(
                _delete_=True, type='MinresSolver', max_iters=3
            )
        cfg = config(name, {**sgd, **changes})
        found[name] = flat(weights(trained(cfg)))
    product = (found['identity'] - found['hessian']).norm()
    difference = (found['differences'] - found['hessian']).norm()
    assert product > 0
    assert 0 < difference <= 1e-3 * product
