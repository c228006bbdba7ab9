"""A message names a checkpoint of a model that computes something else."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from small_models import classifier_cfg, simclr_cfg

import bissl_mm.models.weights.pretrained as pretrained
from bissl_mm.experiments.runs.cell import start_of
from bissl_mm.models.weights.pretrained import check_pretrained_init, load_pretrained
from bissl_mm.models.weights.provenance import describe, origin
from bissl_mm.utils.checkpoint import load_checkpoint

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


@pytest.fixture
def warnings(monkeypatch):
    lines = []

    def note(text, level=logging.INFO, **kwargs):
        if level == logging.WARNING:
            lines.append(text)

    monkeypatch.setattr(pretrained, 'print_log', note)
    return lines


def pretext(style='pytorch', views=None, **norm):
    cfg = simclr_cfg(
        data_preprocessor=dict(type='SelfSupDataPreprocessor', **{**NORM, **norm})
    )
    if views is not None:
        cfg['data_preprocessor'] = dict(
            type='bissl_mm.BatchViews',
            mean=NORM['mean'],
            std=NORM['std'],
            num_views=2,
            **views,
        )
    cfg['backbone']['style'] = style
    return cfg


def saved(tmp_path, model, meta):
    path = str(tmp_path / 'stage1.pth')
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.mark.parametrize(
    'change, both',
    [
        (dict(), ()),
        (dict(to_rgb=False), (' of RGB', ' of BGR')),
        (dict(mean=[0.0] * 3, std=[255.0] * 3), ('/ [58.395', '/ [255, 255, 255]')),
        (dict(style='caffe'), ('style pytorch', 'has caffe')),
    ],
)
def test_stage_3_is_told_of_another_stage_1(change, both, tmp_path, warnings):
    cfg = pretext()
    text = Config(dict(model=cfg, other=[1])).pretty_text
    path = saved(tmp_path, MODELS.build(cfg), dict(cfg=text))
    model = MODELS.build(pretext(**change))
    load_pretrained(model, path, [n for n in model.state_dict() if 'backbone' in n])
    assert len(warnings) == bool(both)
    for value in both:
        assert value in warnings[0]


@pytest.mark.parametrize('views, number', [(dict(), 0), (dict(to_rgb=False), 1)])
def test_views_of_batches_are_of_rgb_where_nothing_is_said(
    views, number, tmp_path, warnings
):
    cfg = pretext(views=views)
    path = saved(
        tmp_path, MODELS.build(cfg), dict(cfg=Config(dict(model=cfg)).pretty_text)
    )
    model = MODELS.build(pretext())
    load_pretrained(model, path, [n for n in model.state_dict() if 'backbone' in n])
    assert len(warnings) == number


@pytest.mark.parametrize('mean, number', [(NORM['mean'], 0), ([127.5] * 3, 1)])
def test_a_preprocessor_beside_the_model_is_its_own(mean, number, tmp_path, warnings):
    # As in the configs of mmpretrain.
    cfg = pretext()
    beside = dict(cfg.pop('data_preprocessor'), mean=mean)
    text = Config(dict(model=cfg, data_preprocessor=beside)).pretty_text
    path = saved(tmp_path, MODELS.build(cfg), dict(cfg=text))
    model = MODELS.build(pretext())
    load_pretrained(model, path, [n for n in model.state_dict() if 'backbone' in n])
    assert len(warnings) == number


@pytest.mark.parametrize(
    'change, number',
    [(dict(), 0), (dict(mean=[127.5] * 3), 1), (dict(to_rgb=False), 1)],
)
def test_stage_4_is_told_of_another_stage_3(change, number, tmp_path, warnings):
    lower = MODELS.build(pretext())
    path = saved(tmp_path, lower, dict(backbone=describe(lower)))
    cfg = classifier_cfg()
    cfg['data_preprocessor'] = dict(NORM, **change)
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=path, prefix='backbone.'
    )
    model = MODELS.build(cfg)
    check_pretrained_init(model)
    assert len(warnings) == number


def test_an_experiment_starts_from_a_file_that_keeps_its_pixels(tmp_path):
    given = {'layer1.0.conv1.weight': torch.ones(1), 'conv1.weight': torch.ones(1)}
    before = dict(pixels='(x - [0]) / [255] of RGB')
    path = tmp_path / 'released.pth'
    torch.save(dict(state_dict=given, meta=dict(backbone=before)), path)
    start = start_of(dict(source=None, file=str(path)), {}, tmp_path)
    assert origin(load_checkpoint(start)) == before and start != str(path)


@pytest.mark.parametrize(
    'meta',
    [
        None,
        {},
        dict(cfg='no ( Python'),
        dict(cfg='model = 3'),
        dict(cfg='model = __import__("os").abort()'),
        dict(cfg='model = dict(data_preprocessor=f(1), backbone=x)'),
    ],
)
def test_what_is_not_known_is_not_said(meta, tmp_path, warnings):
    model = MODELS.build(pretext(to_rgb=False))
    path = saved(tmp_path, model, meta)
    load_pretrained(model, path, [n for n in model.state_dict() if 'backbone' in n])
    assert warnings == []
