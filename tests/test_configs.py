"""Every shipped config builds: model, data pipeline, optimizers."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.optim import build_optim_wrapper
from PIL import Image

import bissl_mm.engine  # noqa: F401
from bissl_mm.models import BiSSLModel

FOLDERS = ('pretext', 'bissl', 'fine_tune', 'demo')
CONFIGS = sorted(p for folder in FOLDERS
                 for p in (ROOT / 'configs' / folder).rglob('*.py'))


@pytest.fixture(scope='module')
def stand_in(tmp_path_factory) -> Path:
    """Two pictures in place of any data set that is not here."""
    root = tmp_path_factory.mktemp('stand_in')
    rng = np.random.default_rng(0)
    for i in range(2):
        folder = root / f'class{i}'
        folder.mkdir()
        Image.fromarray(rng.integers(0, 255, (50, 70, 3), np.uint8)).save(
            folder / f'{i}.jpg')
    return root


def in_its_place(dataset: dict, root: Path) -> dict:
    """The dataset config over the stand-in, its own pipeline kept."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dict(type='CustomDataset', _scope_='mmpretrain',
                data_root=str(root), pipeline=dataset['pipeline'])


def dataloaders(cfg: Config) -> dict:
    found = {k: cfg[k] for k in ('train_dataloader', 'val_dataloader',
                                 'test_dataloader') if k in cfg}
    if 'pretext_dataloader' in cfg.train_cfg:
        found['pretext_dataloader'] = cfg.train_cfg.pretext_dataloader
    return found


@pytest.mark.parametrize('path', CONFIGS,
                         ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_config_builds(path, stand_in):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    assert wrapper.state_dict()
    data = {}
    for name, dataloader in dataloaders(cfg).items():
        dataset = DATASETS.build(in_its_place(dataloader.dataset, stand_in))
        data[name] = [dataset[i] for i in range(len(dataset))]
        assert len(data[name]) == 2
    if isinstance(model, BiSSLModel):
        assert len(model.pairs.params) == len(
            list(model.pretext.backbone.parameters()))
        check_losses(model.pretext, data['pretext_dataloader'])
        check_losses(model.downstream, data['train_dataloader'])
    else:
        check_losses(model, data['train_dataloader'])


def check_losses(model, samples):
    """One forward pass of the model on the two samples."""
    inputs = samples[0]['inputs']
    if isinstance(inputs, list):
        batch = dict(inputs=[torch.stack(v) for v in
                             zip(*(s['inputs'] for s in samples))],
                     data_samples=[s['data_samples'] for s in samples])
    else:
        batch = dict(inputs=[s['inputs'] for s in samples],
                     data_samples=[s['data_samples'] for s in samples])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    assert model.parse_losses(losses)[0].isfinite()


def test_paper_config_has_the_papers_figures():
    cfg = Config.fromfile(ROOT / 'configs/bissl/bissl-simclr_r50_8xb128-20x8-'
                          '500t_in1k-pets.py')
    loop, wrapper = cfg.train_cfg, cfg.optim_wrapper
    assert (loop.num_alternations, loop.num_lower_steps,
            loop.num_upper_steps) == (500, 20, 8)
    assert loop.head_warmup.num_epochs == 20
    assert (wrapper.reg_weight, wrapper.damping) == (0.001, 10.)
    assert wrapper.solver == dict(type='LayerwiseCGSolver', max_iters=5)
    for level in ('lower', 'upper'):
        assert wrapper[level].clip_grad == dict(max_norm=10.)
    assert 8 * loop.pretext_dataloader.batch_size == 1024
    assert 8 * cfg.train_dataloader.batch_size == 256
    assert wrapper.upper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001)
    assert wrapper.lower.optimizer == dict(
        type='mmpretrain.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6)
    assert cfg.param_scheduler.lower[0].end == 10 * loop.num_lower_steps


@pytest.mark.parametrize('baseline, bissl', [
    ('r18-simclr_b40-50e_dtd5', 'r18-bissl-simclr_b40-50e_dtd5'),
    ('r18-simclr_b100-10e_cifar10', 'r18-bissl-simclr_b100-10e_cifar10'),
    ('r18-simclr_b64-100e_imagefolder',
     'r18-bissl-simclr_b64-100e_imagefolder'),
    ('r50-simclr_b256-400e_pets', 'r50-bissl-simclr_b256-400e_pets'),
])
def test_arms_differ_in_checkpoint_and_step_size_alone(baseline, bissl):
    first, second = (
        Config.fromfile(ROOT / f'configs/fine_tune/{name}.py').to_dict()
        for name in (baseline, bissl))
    for cfg in (first, second):
        cfg['model']['backbone']['init_cfg'].pop('checkpoint')
        for key in ('lr', 'weight_decay'):
            cfg['optim_wrapper']['optimizer'].pop(key)
    assert first == second


def test_fine_tuning_of_the_small_sets_needs_no_own_code():
    for path in (ROOT / 'configs/fine_tune').glob('r18-*.py'):
        assert 'bissl_mm' not in str(Config.fromfile(path).to_dict()), path
