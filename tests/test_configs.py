"""Every shipped config runs on data in their publishers' layouts."""

import copy
import math
from pathlib import Path

import published_layouts
import pytest
import torch
from config_runs import CONFIGS, ConfigRuns
from conftest import ROOT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch.overrides import TorchFunctionMode

import bissl_mm.engine  # noqa: F401
from bissl_mm.datasets.look import parts
from bissl_mm.models import BiSSLModel

pytestmark = [pytest.mark.usefixtures('plain_config_text'), pytest.mark.slow]


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> ConfigRuns:
    return ConfigRuns(tmp_path_factory.mktemp('configs'))


@pytest.fixture(autouse=True)
def hundred_headers(monkeypatch):
    """Let the look read a choice of the thousand images of ImageNet."""
    monkeypatch.setattr(parts, 'MAX_HEADERS', 100)


def by_name(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


@pytest.mark.parametrize('path', CONFIGS, ids=by_name)
def test_config_runs_on_data_as_published(path, runs):
    cfg = Config.fromfile(path)
    done = runs.run(path)
    losses = {name: value for name, value in done['scalars'].items() if 'loss' in name}
    assert losses
    assert all(math.isfinite(value) for value in losses.values()), losses
    if 'val_dataloader' in cfg:
        assert any(name.startswith('val/') for name in done['scalars'])
    if 'test_dataloader' in cfg:
        assert done['test']
    if cfg.train_cfg.type == 'BiSSLTrainLoop':
        assert (done['work_dir'] / 'backbone.pth').is_file()
    else:
        assert (done['work_dir'] / 'epoch_1.pth').is_file()


class LinspaceHasValues(TorchFunctionMode):
    """mmpretrain takes rates of stochastic depth from a linspace."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


@pytest.mark.parametrize('path', CONFIGS, ids=by_name)
def test_full_model_and_optimizer_build(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), LinspaceHasValues():
        model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    assert wrapper.state_dict()
    if isinstance(model, BiSSLModel):
        unmapped = model.backbone_map.unmapped_lower
        names = [
            n
            for n, p in model.pretext.named_parameters()
            if n.startswith('backbone.')
            and p.requires_grad
            and not (unmapped and n.startswith(unmapped))
        ]
        assert [lower for lower, _ in model.pairs.params] == names


def test_data_set_without_generator_is_an_error():
    with pytest.raises(LookupError, match="writes the data in 'data/new'"):
        published_layouts.name_of('data/new')


def total(dataloader: dict) -> int:
    """The total batch of all processes; a batch_size beside it would win."""
    assert 'batch_size' not in dataloader
    return dataloader.total_batch_size


def test_paper_config_has_the_papers_figures():
    cfg = Config.fromfile(
        ROOT / 'configs/bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-pets.py'
    )
    loop, wrapper = cfg.train_cfg, cfg.optim_wrapper
    assert (loop.num_alternations, loop.num_lower_steps, loop.num_upper_steps) == (
        500,
        20,
        8,
    )
    assert loop.head_warmup.num_epochs == 20
    assert (wrapper.regularizer.weight, wrapper.hypergradient.damping) == (0.001, 10.0)
    assert wrapper.hypergradient.solver == dict(type='LayerwiseCGSolver', max_iters=5)
    for level in ('lower', 'upper'):
        assert wrapper[level].clip_grad == dict(max_norm=10.0)
    assert total(loop.pretext_dataloader) == 1024
    assert total(cfg.train_dataloader) == 256
    assert cfg.model.sync_norms is True
    assert wrapper.upper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001
    )
    assert wrapper.lower.optimizer == dict(
        type='bissl_mm.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6, eta=0.001
    )
    assert cfg.param_scheduler.lower[0].end == 10 * loop.num_lower_steps


def paper(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def test_byol_configs_have_the_papers_figures():
    bissl = paper('bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-pets')
    pretext = paper('pretext/byol_r50_8xb128-500e_in1k-96px')
    for model in (bissl.model.pretext, pretext.model):
        assert model.target_decay == 0.9995
        predictor = dict(model.head.predictor, in_channels=2048, with_avg_pool=True)
        assert predictor == model.neck
    assert pretext.optim_wrapper.optimizer.lr == 4.8
    # Tables 6, 5 and 7.
    figures = [
        (bissl.optim_wrapper.upper, 0.02, 0.002),
        (paper('fine_tune/r50-byol_b256-400e_pets').optim_wrapper, 0.0044, 0.00779),
        (
            paper('fine_tune/r50-bissl-byol_b256-400e_pets').optim_wrapper,
            0.00042,
            0.00002,
        ),
    ]
    for wrapper, lr, weight_decay in figures:
        assert wrapper.optimizer.lr == lr
        assert wrapper.optimizer.weight_decay == weight_decay


def test_mae_configs_have_the_papers_figures():
    bissl = paper('bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-pets')
    pretext = paper('pretext/mae_vit-s8_8xb128-500e_in1k-96px')
    fine_tune = paper('fine_tune/vit-s8-mae_b256-400e_pets')
    assert pretext.optim_wrapper.optimizer == dict(
        type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05
    )
    assert bissl.optim_wrapper.lower.optimizer == dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05
    )
    assert pretext.param_scheduler.type == 'CosineAnnealingLR'
    assert pretext.train_cfg.max_epochs == 500
    for model in (bissl.model.downstream, fine_tune.model):
        assert model.backbone.drop_path_rate == 0.1
        assert (model.backbone.patch_size, model.backbone.img_size) == (8, 96)
    for wrapper in (bissl.optim_wrapper.upper, fine_tune.optim_wrapper):
        assert wrapper.paramwise_cfg.layer_decay_rate == 0.75
    assert fine_tune.train_cfg.max_epochs == 400
    assert total(bissl.train_dataloader) == 256
    assert total(bissl.train_cfg.pretext_dataloader) == 1024
    assert total(pretext.train_dataloader) == 1024
    assert total(fine_tune.train_dataloader) == 256


@pytest.mark.parametrize(
    'bissl',
    [
        path.name
        for path in CONFIGS
        if path.parent.name == 'fine_tune' and '-bissl-' in path.name
    ],
)
def test_arms_differ_in_checkpoint_and_step_size_alone(bissl):
    found = []
    for name in (bissl, bissl.replace('-bissl', '')):
        cfg = Config.fromfile(ROOT / 'configs/fine_tune' / name).to_dict()
        cfg.pop('init_cfg', None)
        parts = [
            cfg['model']['backbone'],
            cfg['model'].get('roi_head', {}).get('shared_head'),
        ]
        checkpoints = {part['init_cfg'].pop('checkpoint') for part in parts if part}
        assert len(checkpoints) == 1
        for key in ('lr', 'weight_decay'):
            cfg['optim_wrapper']['optimizer'].pop(key)
        found.append((cfg, checkpoints))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_fine_tuning_needs_no_own_code():
    for path in (ROOT / 'configs/fine_tune').glob('*.py'):
        # Pets has no validation part; bissl_mm splits it. Data of the networks
        # at 32 px are kept by bissl_mm.
        if 'pets' in path.name or '32px' in path.name or 'r10-' in path.name:
            continue
        cfg = Config.fromfile(path).to_dict()
        # It does the same with the data of Cityscapes and of VOC's segmentation.
        if cfg.pop('custom_imports', None):
            assert 'bissl_mm.' in cfg.pop('train_dataloader')['dataset']['type']
            cfg.pop('val_dataloader')
        assert 'bissl_mm' not in str(cfg), path
