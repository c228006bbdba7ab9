"""Every shipped config builds: model, data pipeline, optimizers."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import SelfSupDataPreprocessor
from PIL import Image

import bissl_mm.engine  # noqa: F401
from bissl_mm.models import BiSSLModel

FOLDERS = ('pretext', 'bissl', 'fine_tune', 'demo')
CONFIGS = sorted(p for folder in FOLDERS
                 for p in (ROOT / 'configs' / folder).rglob('*.py'))


@pytest.fixture(scope='module')
def stand_in(tmp_path_factory) -> Path:
    """Two labeled pictures in place of any data set that is not here."""
    root = tmp_path_factory.mktemp('stand_in')
    rng = np.random.default_rng(0)
    for i in range(2):
        for part in ('images', 'masks'):
            (root / part / f'class{i}').mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (50, 70, 3), np.uint8)).save(
            root / f'images/class{i}/{i}.jpg')
        Image.fromarray(rng.integers(0, 2, (50, 70), np.uint8)).save(
            root / f'masks/class{i}/{i}.png')
    (root / 'boxes.json').write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'class{i}/{i}.jpg', height=50, width=70)
                for i in range(2)],
        annotations=[dict(id=i, image_id=i, category_id=1, iscrowd=0,
                          bbox=[10, 5, 40, 40], area=1600) for i in range(2)],
        categories=[dict(id=1, name='thing')])))
    return root


def in_its_place(dataset: dict, root: Path) -> dict:
    """The dataset config over the stand-in, its own pipeline kept."""
    scope = dataset.get('_scope_')
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
        scope = dataset.get('_scope_', scope)
    kept = dict(_scope_=scope, data_root=str(root),
                pipeline=dataset['pipeline'])
    if scope == 'mmdet':
        return dict(type='CocoDataset', ann_file='boxes.json',
                    data_prefix=dict(img='images'),
                    metainfo=dict(classes=('thing', )), **kept)
    if scope == 'mmseg':
        return dict(type='BaseSegDataset', img_suffix='.jpg',
                    data_prefix=dict(img_path='images',
                                     seg_map_path='masks'),
                    metainfo=dict(classes=('a', 'b')), **kept)
    return dict(type='CustomDataset', data_prefix='images', **kept)


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
    detector = cfg.model.get('downstream', cfg.model)
    if 'roi_head' in detector:
        # Hundreds of regions on two small pictures take a minute.
        detector.train_cfg.rcnn.sampler.num = 8
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    assert wrapper.state_dict()
    data = {}
    for name, dataloader in dataloaders(cfg).items():
        dataset = DATASETS.build(in_its_place(dataloader.dataset, stand_in))
        data[name] = [dataset[i] for i in range(len(dataset))]
        assert len(data[name]) == 2
    if isinstance(model, BiSSLModel):
        unmapped = model.backbone_map.unmapped_lower
        names = [n for n, p in model.pretext.named_parameters()
                 if n.startswith('backbone.') and p.requires_grad
                 and not (unmapped and n.startswith(unmapped))]
        assert [lower for lower, _ in model.pairs.params] == names
        check_losses(model.pretext, data['pretext_dataloader'])
        check_losses(model.downstream, data['train_dataloader'])
    elif '-bissl-' not in path.name:
        # The other arm is the same model, see the test of that below.
        check_losses(model, data['train_dataloader'])


def check_losses(model, samples):
    """One forward pass of the model on the two samples."""
    inputs = [s['inputs'] for s in samples]
    if isinstance(inputs[0], list):
        inputs = [torch.stack(view) for view in zip(*inputs, strict=True)]
    elif isinstance(model.data_preprocessor, SelfSupDataPreprocessor):
        inputs = torch.stack(inputs)
    batch = dict(inputs=inputs,
                 data_samples=[s['data_samples'] for s in samples])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    assert model.parse_losses(losses)[0].isfinite()


def total(dataloader: dict) -> int:
    """Samples of all processes; a batch size would go before them."""
    assert 'batch_size' not in dataloader
    return dataloader.total_batch_size


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
    assert total(loop.pretext_dataloader) == 1024
    assert total(cfg.train_dataloader) == 256
    assert cfg.model.sync_norms is True
    assert wrapper.upper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001)
    assert wrapper.lower.optimizer == dict(
        type='bissl_mm.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6,
        eta=0.001)
    assert cfg.param_scheduler.lower[0].end == 10 * loop.num_lower_steps


def paper(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def test_byol_configs_have_the_papers_figures():
    bissl = paper('bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-pets')
    pretext = paper('pretext/byol_r50_8xb128-500e_in1k-96px')
    for model in (bissl.model.pretext, pretext.model):
        assert model.target_decay == 0.9995
        predictor = dict(model.head.predictor, in_channels=2048,
                         with_avg_pool=True)
        assert predictor == model.neck
    assert pretext.optim_wrapper.optimizer.lr == 4.8
    # Tables 6, 5 and 7.
    figures = [
        (bissl.optim_wrapper.upper, 0.02, 0.002),
        (paper('fine_tune/r50-byol_b256-400e_pets').optim_wrapper, 0.0044,
         0.00779),
        (paper('fine_tune/r50-bissl-byol_b256-400e_pets').optim_wrapper,
         0.00042, 0.00002)]
    for wrapper, lr, weight_decay in figures:
        assert wrapper.optimizer.lr == lr
        assert wrapper.optimizer.weight_decay == weight_decay


def test_mae_configs_have_the_papers_figures():
    bissl = paper('bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-pets')
    pretext = paper('pretext/mae_vit-s8_8xb128-500e_in1k-96px')
    fine_tune = paper('fine_tune/vit-s8-mae_b256-400e_pets')
    assert pretext.optim_wrapper.optimizer == dict(
        type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05)
    assert bissl.optim_wrapper.lower.optimizer == dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
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


@pytest.mark.parametrize('bissl', [
    path.name for path in CONFIGS
    if path.parent.name == 'fine_tune' and '-bissl-' in path.name])
def test_arms_differ_in_checkpoint_and_step_size_alone(bissl):
    found = []
    for name in (bissl, bissl.replace('-bissl', '')):
        cfg = Config.fromfile(ROOT / 'configs/fine_tune' / name).to_dict()
        cfg.pop('init_cfg', None)
        parts = [cfg['model']['backbone'],
                 cfg['model'].get('roi_head', {}).get('shared_head')]
        checkpoints = {part['init_cfg'].pop('checkpoint')
                       for part in parts if part}
        assert len(checkpoints) == 1
        for key in ('lr', 'weight_decay'):
            cfg['optim_wrapper']['optimizer'].pop(key)
        found.append((cfg, checkpoints))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_fine_tuning_needs_no_own_code():
    for path in (ROOT / 'configs/fine_tune').glob('*.py'):
        # Pets has no validation part; bissl_mm splits it.
        if 'pets' in path.name:
            continue
        cfg = Config.fromfile(path).to_dict()
        # So it does with Cityscapes and VOC's segmentation, data alone.
        if cfg.pop('custom_imports', None):
            assert 'bissl_mm.' in cfg.pop('train_dataloader')['dataset']['type']
            cfg.pop('val_dataloader')
        assert 'bissl_mm' not in str(cfg), path
