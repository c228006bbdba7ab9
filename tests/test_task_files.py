"""Each classification task: its data as prepared, with one of the settings."""

import inspect

import numpy as np
import published_layouts
import pytest
import raw_labeled
import torch
import torch.nn.functional as F
from conftest import ROOT
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from task_configs import CLASSIFICATION, shipped

import bissl_mm.engine  # noqa: F401
from bissl_mm.config import notes_of, read_config
from bissl_mm.config.tasks import find_slot
from bissl_mm.datasets.folders import check_data_folders
from bissl_mm.engine.search_space import place_holder_note
from bissl_mm.prepare import prepare
from bissl_mm.utils.total_batch import share_batches

#: Configs by setting, and the side of their images.
SETTINGS = (
    ('fine_tune/r50_96px', 96),
    ('bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px', 96),
    ('fine_tune/vit-s8_96px', 96),
    ('bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px', 224),
    ('fine_tune/r18_96px', 96),
    ('bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-96px', 96),
    ('fine_tune/r50_224px', 224),
)
#: Tasks without figures of the published paper, and without any.
FIRST_VERSION_ALONE = ('fashion_mnist', 'stl10')
IMAGENET = ('imagenet-100p', 'imagenet-10p', 'imagenet-1p')


def writer(task: str):
    """The function that writes a download of a task's data."""
    name = 'imagenet' if task in IMAGENET else task.replace('-', '_')
    return getattr(raw_labeled, name)


def few(task: str) -> dict:
    """Its arguments for nine classes."""
    known = inspect.signature(writer(task)).parameters
    given = dict(classes=9, per_batch=20)
    return {name: value for name, value in given.items() if name in known}


@pytest.fixture(scope='module')
def data(module_folder):
    """Prepares a set when a task asks for it."""
    root = module_folder

    def make(task: str):
        name = 'imagenet' if task in IMAGENET else task
        folder = root / name
        if not folder.exists():
            # ImageNet's images stay where they are.
            place = folder / 'imagenet' if name == 'imagenet' else root / f'raw-{name}'
            raw = writer(task)(place, **few(task))
            counts = raw.counts or None
            prepare(name, raw.source, folder, counts=counts, allow_incomplete=True)
        return folder

    return make


def test_the_papers_sets_are_there():
    twelve = ['food', 'cifar10-full', 'cifar100', 'cub200', 'sun397', 'cars']
    twelve += ['aircrafts', 'voc07', 'dtd', 'pets', 'caltech101', 'flowers']
    assert {*twelve, *FIRST_VERSION_ALONE, *IMAGENET} == set(CLASSIFICATION)
    for name, _ in SETTINGS:
        slot = find_slot(str(ROOT / f'configs/{name}.py'))
        assert set(CLASSIFICATION) <= set(slot.tasks())


@pytest.mark.parametrize('task', CLASSIFICATION)
def test_a_batch_of_a_task_is_what_was_prepared(task, data, monkeypatch):
    folder = data(task)
    monkeypatch.setenv('BISSL_DATA_DIR', str(folder))
    name, side = SETTINGS[CLASSIFICATION.index(task) % len(SETTINGS)]
    cfg = read_config(str(ROOT / f'configs/{name}.py'), task=task)
    assert notes_of(cfg) == []
    init_default_scope('mmpretrain')
    numbers = {}
    for part in ('train', 'val', 'test'):
        loader = cfg[f'{part}_dataloader']
        dataset = DATASETS.build(loader.dataset)
        numbers[part] = len(dataset)
        place = folder / loader.dataset.data_root / loader.dataset.ann_file
        if part == 'train':
            batch = pseudo_collate([dataset[i] for i in range(4)])
            assert [tuple(x.shape) for x in batch['inputs']] == 4 * [(3, side, side)]
            labels = [sample.gt_label.tolist() for sample in batch['data_samples']]
        if task != 'voc07':
            lines = place.read_text().splitlines()
            assert len(lines) == numbers[part]
            if part == 'train':
                assert labels == [[int(line.split()[-1])] for line in lines[:4]]
    assert min(numbers.values()) > 0
    # That of the whole set.
    classes = inspect.signature(writer(task)).parameters.get('classes')
    number = 20 if task == 'voc07' else 10 if classes is None else classes.default
    assert cfg.model.get('downstream', cfg.model).head.num_classes == number


@pytest.mark.parametrize(
    'name',
    ['bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px', 'fine_tune/r50_224px'],
)
def test_own_folders_at_224px_have_own_images_at_both_levels(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    for variable in ('pretext', 'downstream'):
        folder = published_layouts.write(variable, tmp_path)
        monkeypatch.setenv(f'BISSL_{variable.upper()}_DIR', str(folder))
    cfg = read_config(str(ROOT / f'configs/{name}.py'), task='imagefolder-224px')
    assert notes_of(cfg) == []
    init_default_scope('mmpretrain')
    check_data_folders(cfg, ('pretext', 'train', 'val', 'test'))
    loaders = [cfg[f'{part}_dataloader'] for part in ('train', 'val', 'test')]
    datasets = [DATASETS.build(loader.dataset) for loader in loaders]
    assert list(map(len, datasets)) == [18, 6, 6]
    assert datasets[0][17]['inputs'].shape == (3, 224, 224)
    assert datasets[0][17]['data_samples'].gt_label.item() == 2
    assert cfg.model.get('downstream', cfg.model).head.num_classes == 3
    share_batches(cfg, 4)
    assert loaders[0].batch_size == 16
    if 'pretext_dataloader' in cfg.train_cfg:
        dataset = DATASETS.build(cfg.train_cfg.pretext_dataloader.dataset)
        assert len(dataset) == 8
        assert [view.shape for view in dataset[0]['inputs']] == 2 * [(3, 224, 224)]


@pytest.mark.parametrize('task', CLASSIFICATION)
def test_figures_of_the_task_are_those_of_the_arm(task):
    """Tables 5 and 6, and of the first version Tables 2 and 3."""
    for key, bissl, fine_tune in (
        ('simclr', 'simclr_r50_8xb128-20x8-500t_in1k-96px', 'r50_96px'),
        ('first_version', 'simclr_r18_8xb128-20x8-500t_stl10-96px', 'r18_96px'),
    ):
        cfg = shipped(f'fine_tune/{fine_tune}', task)
        optimizer = cfg.optim_wrapper.optimizer
        tuned = cfg.get('tuned', {})
        assert (key in tuned) == (place_holder_note(cfg) is None)
        if key in tuned:
            assert {**optimizer, **tuned[key]} == optimizer
            assert f'{key}_bissl' in tuned
        stage = shipped(f'bissl/bissl-{bissl}', task)
        found = stage.optim_wrapper.upper.optimizer
        assert {**found, **stage.upper[key]} == found
    expected = {'first_version'} if task in FIRST_VERSION_ALONE else {'simclr', 'byol'}
    if task not in IMAGENET:
        assert expected <= set(tuned)


def test_voc_trains_with_softmax_on_all_classes_of_an_image(data, monkeypatch):
    """Cross entropy with multi-hot targets; binary cross entropy by options."""
    monkeypatch.setenv('BISSL_DATA_DIR', str(data('voc07')))
    init_default_scope('mmpretrain')
    cfg = shipped('fine_tune/r18_96px', 'voc07')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(4)])
    cfg.model.backbone.update(
        base_channels=8, stem_channels=8, norm_cfg=dict(type='BN')
    )
    cfg.model.backbone.pop('init_cfg')
    cfg.model.head.in_channels = 64
    for options in ({}, dict(head=dict(type='MultiLabelLinearClsHead'))):
        if options:
            cfg.merge_from_dict(
                {
                    'model.head.type': 'MultiLabelLinearClsHead',
                    'model.head.loss.use_soft': False,
                    'model.head.loss.use_sigmoid': True,
                }
            )
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        with torch.no_grad():
            found = model.data_preprocessor(batch)
            loss = model(**found, mode='loss')['loss']
            scores = model.head.fc(model.extract_feat(found['inputs'])[-1])
            predicted = model(**found, mode='predict')
        targets = torch.zeros(4, 20)
        for i in range(4):
            targets[i, dataset.get_data_info(i)['gt_label']] = 1
        if options:
            expected = F.binary_cross_entropy_with_logits(
                scores, targets, reduction='sum'
            )
            activated = scores.sigmoid()
        else:
            expected = -(targets * scores.log_softmax(1)).sum()
            activated = scores.softmax(1)
        torch.testing.assert_close(loss, expected / 4)
        metric = METRICS.build(dict(cfg.test_evaluator, difficult='ignored'))
        metric.process(None, [sample.to_dict() for sample in predicted])
        kept = np.stack([target for _, target in metric.results])
        rows = [dataset.get_data_info(i)['gt_label_difficult'] for i in range(4)]
        assert [np.flatnonzero(row < 0).tolist() for row in kept] == rows
        for (score, _), row in zip(metric.results, activated, strict=True):
            np.testing.assert_allclose(score, row.numpy(), rtol=1e-5)
