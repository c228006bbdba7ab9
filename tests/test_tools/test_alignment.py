"""Alignment of backbones before and after fine-tuning."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from sklearn.metrics.pairwise import cosine_similarity
from test_search import CONFIG, SMALL, options
from tool_runs import tool

from bissl_mm.analysis.alignment import (
    Alignment,
    effective_dimension,
    feature_cosine,
    parameter_cosine,
    summary,
)
from bissl_mm.analysis.features import embed
from bissl_mm.utils.errors import Refusal

__all__ = ['tool']


def test_cosine_of_parameters():
    first = [torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])]
    second = [torch.tensor([[0.0, 5.0]]), torch.tensor([12.0])]
    assert parameter_cosine(first, second) == pytest.approx(48 / (5 * 13))
    assert parameter_cosine(first, [-2 * p for p in first]) == pytest.approx(-1)
    with pytest.raises(Refusal, match='only zeros'):
        parameter_cosine(first, [torch.zeros_like(p) for p in first])


def test_cosine_of_features():
    first, second = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32)
    expected = np.diag(cosine_similarity(first, second))
    assert feature_cosine(first, second) == pytest.approx(expected.mean(), rel=1e-5)
    second[3] = 0
    expected = np.delete(expected, 3).sum() / 7
    assert feature_cosine(first, second) == pytest.approx(expected, rel=1e-5)
    # Of a network that diverged.
    second[:] = np.nan
    assert np.isnan(feature_cosine(first, second))


def test_effective_dimension():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    # A cross polytope varies alike in all its directions.
    points = np.concatenate([directions[:4], -directions[:4]])
    assert effective_dimension(points + 3.0) == pytest.approx(4)
    values = rng.normal(size=(50, 6)) * np.arange(1, 7)
    energies = np.linalg.eigvalsh(np.cov(values.T))
    expected = energies.sum() ** 2 / (energies**2).sum()
    assert effective_dimension(values) == pytest.approx(expected)
    assert effective_dimension(np.ones((5, 3))) == 0


def test_summary_has_means_and_deviations_of_the_sample():
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    several = Alignment([0.2, 0.4, 0.9], [0.5, 0.5, 0.8], points, None)
    one = Alignment([0.2], [0.5], points, None)
    found = summary(dict(several=several, one=one))
    assert found['several'] == dict(
        effective_dimension=pytest.approx(2),
        parameters=pytest.approx(0.5),
        parameters_std=pytest.approx(0.13**0.5),
        features=pytest.approx(0.6),
        features_std=pytest.approx(0.03**0.5),
    )
    assert set(found['one']) == {'effective_dimension', 'parameters', 'features'}


@pytest.mark.parametrize('noise', [0.0, 1e-9])
def test_pictures_of_a_collapsed_backbone(noise):
    rng = np.random.default_rng(0)
    points = 1 + noise * rng.normal(size=(20, 4))
    assert np.isfinite(embed(points.astype(np.float32))).all()


@pytest.fixture
def checkpoints(tool, tmp_path):
    """Two small networks, one of them with other weights and statistics."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(SMALL)
    cfg.model.backbone.pop('init_cfg')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    paths = [tmp_path / 'first.pth', tmp_path / 'second.pth']
    torch.save(dict(state_dict=model.state_dict()), paths[0])
    for p in model.backbone.parameters():
        p.data += 0.3 * p.data.std().nan_to_num() * torch.randn_like(p)
    for b in model.backbone.buffers():
        if b.is_floating_point():
            b += 0.5
    torch.save(dict(state_dict=model.state_dict()), paths[1])
    return cfg, model, paths


@torch.no_grad()
def features_by_hand(model, cfg, path, fitted):
    """Of the test images, by the mean over places of the last stage."""
    model.load_state_dict(torch.load(path)['state_dict'])
    if fitted:
        model.train()
        loader = dict(cfg.train_dataloader, batch_size=256, drop_last=False)
        (batch,) = Runner.build_dataloader(loader, seed=0)
        for _ in range(2):
            model.backbone(model.data_preprocessor(batch, True)['inputs'])
    model.eval()
    found = []
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        inputs = model.data_preprocessor(batch, False)['inputs']
        found.append(model.backbone(inputs)[-1].mean((2, 3)))
    return torch.cat(found).numpy()


def test_tool_writes_the_page_and_the_figures(tool, checkpoints, tmp_path, capfd):
    cfg, model, (first, second) = checkpoints
    page, figures = tmp_path / 'page.html', tmp_path / 'found.json'
    # Without random draws, so that both fit the statistics to the same images.
    pipeline = [dict(step) for step in cfg.test_dataloader.dataset.pipeline]
    cfg.train_dataloader.dataset.pipeline = pipeline
    arguments = [f'--arm=FT={first}', '--tuned', f'FT={second}', f'FT={first}']
    arguments += [f'--arm=other={second}', '--out', page, '--json', figures]
    text = repr(pipeline).replace(' ', '')
    # The batch of training is another one.
    changed = options(
        train_dataloader__dataset__pipeline=text,
        train_dataloader__total_batch_size=4,
        train_dataloader__num_batch_per_epoch=40,
    )
    tool('alignment', CONFIG, '--num-batches', 2, *arguments, *changed)
    found = json.loads(figures.read_text())
    fitted = features_by_hand(model, cfg, first, True)
    cosines = [
        np.diag(cosine_similarity(fitted, features_by_hand(model, cfg, path, False)))
        for path in (second, first)
    ]
    expected = np.mean([c.mean() for c in cosines])
    assert found['FT']['features'] == pytest.approx(expected, abs=1e-4)
    # The fitted statistics are others than those of the file.
    assert found['FT']['features'] < 0.999 and found['FT']['parameters'] < 0.999
    dimension = effective_dimension(fitted)
    assert found['FT']['effective_dimension'] == pytest.approx(dimension, rel=1e-3)
    assert set(found['other']) == {'effective_dimension', 'neighbours'}
    text = page.read_text()
    assert text.count('<img') == 1 and 'effective dimension' in text
    assert f'Page: {page}' in capfd.readouterr().out


@pytest.mark.parametrize(
    'arguments, text',
    [
        (['--arm', 'a.pth'], "'a.pth' is not of the form NAME=CKPT"),
        (['--arm', 'a=x', '--arm', 'a=y'], "'a' is given twice: x and y"),
        (['--arm', 'a=x', '--tuned', 'b=y'], 'Add --arm b=CKPT'),
    ],
)
def test_arms_that_cannot_be_read(tool, arguments, text, capfd):
    with pytest.raises(SystemExit):
        tool('alignment', CONFIG, *arguments)
    assert text in capfd.readouterr().err
