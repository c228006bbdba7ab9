"""Figures of the dense configs: those of B.7 and of the released runs."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import published_layouts
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope
from PIL import Image
from task_configs import shipped

import bissl_mm.datasets
import bissl_mm.models  # noqa: F401  (registers)

PRETEXTS = ('simclr', 'byol')
#: Learning rate and weight decay of the upper level: released runs for
#: detection, Pets' of Table 6 for segmentation.
UPPER = dict(
    detection=dict(simclr=(0.015, 0.0), byol=(0.03, 0.0002)),
    segmentation=dict(simclr=(0.03, 0.001), byol=(0.02, 0.002)),
)
TASKS = {
    'voc0712-c4': 'detection',
    'voc0712-fcn16': 'segmentation',
    'voc12aug-fcn16': 'segmentation',
    'cityscapes-fcn16': 'segmentation',
}
BATCH = dict(detection=16, segmentation=256)


def config(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def bilevel(pretext: str, task: str) -> Config:
    return shipped(f'bissl/bissl-{pretext}_r50_8xb128-20x8-500t_in1k-96px', task)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('pretext', PRETEXTS)
def test_bilevel_figures(pretext, task):
    cfg, kind = bilevel(pretext, task), TASKS[task]
    optimizer = cfg.optim_wrapper.upper.optimizer
    assert (optimizer.lr, optimizer.weight_decay) == UPPER[kind][pretext]
    assert optimizer.momentum == 0.9
    assert cfg.train_cfg.head_warmup.num_epochs == 5
    assert cfg.train_dataloader.total_batch_size == BATCH[kind]
    assert cfg.train_cfg.pretext_dataloader.total_batch_size == 1024
    assert cfg.model.sync_norms
    assert cfg.model.pretext.type.lower() == f'bissl_mm.{pretext}'
    assert f'/{pretext}_r50_' in cfg.model.pretrained


def test_the_norms_of_a_shipped_config_are_one_setting():
    cfg = bilevel('byol', 'voc0712-c4')
    # The same as --cfg-options.
    cfg.merge_from_dict({'model.pretrained': None, 'model.sync_norms': False})
    init_default_scope(cfg.default_scope)
    for value in (False, True):
        cfg.model.sync_norms = value
        model = MODELS.build(cfg.model)
        norms = [
            m
            for m in model.modules()
            if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
        ]
        # Online and target network, detector; projectors and predictor.
        assert len(norms) >= 3 * 53
        assert {bool(getattr(m, 'synchronised', False)) for m in norms} == {value}


@pytest.mark.parametrize('task', TASKS)
def test_fine_tuning_figures(task):
    kind = TASKS[task]
    cfg = shipped('fine_tune/r50_96px', task)
    assert cfg.train_dataloader.total_batch_size == BATCH[kind]
    assert (
        cfg.train_cfg.max_epochs,
        cfg.train_cfg.val_interval,
        cfg.param_scheduler.end,
    ) == (50, 1, 50)
    assert cfg.sync_bn == 'torch'
    if kind == 'detection':
        head = cfg.model.roi_head.shared_head.init_cfg
        assert head.checkpoint == cfg.model.backbone.init_cfg.checkpoint
        assert cfg.val_evaluator.eval_mode == 'area'
        assert cfg.test_evaluator == cfg.val_evaluator


def test_three_convolutions_of_conv5_are_dilated():
    for task, kind in TASKS.items():
        if kind != 'segmentation':
            continue
        cfg = shipped('fine_tune/r50_96px', task)
        init_default_scope('mmseg')
        backbone = MODELS.build(
            {'_scope_': 'mmseg', **cfg.model.backbone, 'init_cfg': None}
        )
        found = [
            (c.kernel_size, c.dilation, c.stride)
            for c in backbone.layer4.modules()
            if getattr(c, 'kernel_size', None) == (3, 3)
        ]
        assert found == 3 * [((3, 3), (2, 2), (1, 1))]
        head = cfg.model.decode_head
        assert (head.num_convs, head.kernel_size, head.dilation, head.channels) == (
            2,
            3,
            6,
            256,
        )


@pytest.mark.parametrize(
    'name, low, high', [('voc0712-c4', 196, 320), ('bccd-c4', 128, 160)]
)
@pytest.mark.parametrize(
    'shape', [(48, 64), (64, 48), (64, 64)], ids=['landscape', 'portrait', 'square']
)
def test_longest_edge_is_uniform(name, low, high, shape):
    cfg = config(f'_base_/tasks/{name}')
    init_default_scope('mmdet')
    resize = TRANSFORMS.build(
        {
            '_scope_': 'mmdet',
            **next(t for t in cfg.train_pipeline if t.type == 'RandomResize'),
        }
    )
    np.random.seed(0)
    edges = sorted(
        max(
            resize(dict(img=np.zeros((*shape, 3), np.uint8), img_shape=shape))[
                'img'
            ].shape
        )
        for _ in range(400)
    )
    assert low <= edges[0] and edges[-1] <= high
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        # Four standard deviations of a quantile of 400 draws.
        assert edges[int(400 * share)] == pytest.approx(
            low + share * (high - low), abs=0.1 * (high - low) + 1
        )


@pytest.mark.parametrize(
    'name, scope', [('voc0712-c4', 'mmdet'), ('cityscapes-fcn16', 'mmseg')]
)
@pytest.mark.parametrize('pipeline', ['train_pipeline', 'test_pipeline'])
def test_shrinking_averages_and_keeps_the_ids_of_masks(name, scope, pipeline):
    step = next(
        t for t in config(f'_base_/tasks/{name}')[pipeline] if 'Resize' in t.type
    )
    init_default_scope(scope)
    resize = TRANSFORMS.build({'_scope_': scope, **step})
    y, x = np.mgrid[:1024, :2048]
    # The mean of each row's neighbours is grey; cv2 picks of four columns two.
    image = np.stack([(x % 4 < 2) * 255] * 3, -1).astype(np.uint8)
    ids = np.where((x + y) // 7 % 2, 18, 255).astype(np.uint8)
    np.random.seed(0)
    found = resize(
        dict(
            img=image,
            img_shape=image.shape[:2],
            gt_seg_map=ids,
            seg_fields=['gt_seg_map'],
        )
    )
    height, width = found['img'].shape[:2]
    assert found['img'].std() < 60 < image.std()
    expected = Image.fromarray(image).resize((width, height), Image.BILINEAR)
    assert np.abs(found['img'].astype(int) - np.asarray(expected, int)).max() <= 1
    assert found['gt_seg_map'].shape == (height, width)
    assert set(np.unique(found['gt_seg_map'])) == {18, 255}


def test_no_config_writes_indices_out():
    # They would be in every log and checkpoint.
    for path in (ROOT / 'configs').rglob('*.py'):
        assert not re.search(r'\bindices\b', path.read_text()), path


@pytest.fixture(scope='module')
def tree(module_folder) -> Path:
    root = module_folder
    for name in ('voc', 'cityscapes'):
        published_layouts.write(name, root)
    return root


@pytest.mark.parametrize('base', TASKS)
def test_no_image_is_in_two_parts(base, tree, monkeypatch):
    monkeypatch.setenv('BISSL_DATA_DIR', str(tree / 'data'))
    cfg = config(f'_base_/tasks/{base}')
    init_default_scope('bissl_mm')
    found = Counter()
    for part in ('train', 'val', 'test'):
        data = DATASETS.build(cfg[f'{part}_dataloader'].dataset)
        assert len(data) > 0
        assert len(data.metainfo['classes']) == (
            19 if 'cityscapes' in base else 20 + ('fcn' in base)
        )
        # VOC2012 has images of VOC2007 under another name.
        found.update(
            {
                Path(data.get_data_info(i)['img_path']).stem.removeprefix('2007_')
                for i in range(len(data))
            }
        )
    assert set(found.values()) == {1}
