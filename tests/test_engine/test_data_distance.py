"""The distance of the data sets, against closed forms and in runs."""

import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from PIL import Image
from small_run import make_runner, small_config, weights
from torch import nn

from bissl_mm.analysis.scalars import read_scalars
from bissl_mm.engine import DataDistanceHook
from bissl_mm.engine.hooks import data_distance_hook
from bissl_mm.engine.hooks.data_distance_hook import (
    NAME,
    energy_coefficient,
    features_of_both,
)

pytestmark = pytest.mark.usefixtures('plain_config_text')


@pytest.mark.parametrize('mean', [0.0, 0.5, 3.0])
def test_coefficient_of_two_normal_distributions(mean):
    number = 1500
    place = (torch.arange(number, dtype=torch.float64) + 0.5) / number
    x = math.sqrt(2) * torch.erfinv(2 * place - 1)[:, None]
    # X - Y is normal with variance 2; the means of absolute values are those of
    # a folded normal distribution.
    across = 2 / math.sqrt(math.pi) * math.exp(-(mean**2) / 4)
    across += mean * math.erf(mean / 2)
    exact = 1 - 2 / math.sqrt(math.pi) / across
    assert energy_coefficient(x, x + mean) == pytest.approx(exact, abs=2e-3)
    assert energy_coefficient(7 * x, 7 * (x + mean)) == pytest.approx(exact, abs=2e-3)


def test_coefficient_is_one_for_two_points_and_has_no_bias():
    points = torch.zeros(3, 2), torch.ones(2, 2)
    assert energy_coefficient(*points) == pytest.approx(1)
    assert energy_coefficient(points[0], points[0]) == 0
    torch.manual_seed(0)
    found = [
        energy_coefficient(torch.randn(5, 4), torch.randn(5, 4)) for _ in range(300)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(300) + 0.01
    with pytest.raises(ValueError, match='samples of 1 and 2 points'):
        energy_coefficient(torch.zeros(1, 2), torch.zeros(2, 2))


class Plain(BaseModel):
    """A norm as the backbone."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = Stack()
        self.backbone = nn.BatchNorm2d(1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs)


class Stack(BaseDataPreprocessor):
    def forward(self, data, training=False):
        return dict(data, inputs=torch.stack(data['inputs']))


def test_a_norm_does_not_hide_that_one_set_is_brighter():
    dark = [torch.rand(1, 2, 2) for _ in range(60)]
    bright = [image + 5 for image in dark]
    model = Plain()
    found = features_of_both(model, dark, bright)
    assert [f.shape for f in found] == [(60, 1), (60, 1)]
    assert energy_coefficient(*found) > 0.9
    assert model.training and model.backbone.training


def run(monkeypatch, folders, work_dir, images=None, resume=False):
    cfg = small_config(
        monkeypatch,
        folders,
        work_dir,
        train_cfg__num_alternations=2,
        train_cfg__head_warmup=None,
        default_hooks__checkpoint__interval=1,
    )
    cfg.custom_hooks = [dict(type='SolverMonitorHook')]
    if images:
        cfg.custom_hooks.append(dict(type='DataDistanceHook', max_images=images))
    if resume:
        cfg.resume = True
        (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_1.pth'))
    runner = make_runner(cfg)
    infos = []
    monkeypatch.setattr(runner.logger, 'info', infos.append)
    runner.train()
    return runner, infos


def test_it_is_said_once_and_again_at_the_end_of_a_resumed_run(
    image_folders, tmp_path, monkeypatch
):
    first, infos = run(monkeypatch, image_folders, tmp_path, images=12)
    same = first.message_hub.get_info(NAME)
    # Both levels draw the same kinds of pictures.
    assert abs(same) < 0.15
    (line,) = (i for i in infos if i.startswith('Distance of the data sets'))
    assert f'{same:.3g}, from 12 images' in line
    (line,) = (i for i in infos if i.startswith('What the implicit Jacobian'))
    assert f'data sets {same:.3g} (near 0' in line
    assert read_scalars(str(tmp_path))[NAME]['value'] == [same]
    again, infos = run(monkeypatch, image_folders, tmp_path, 12, resume=True)
    # Its backbone is trained, so that it measures nothing.
    assert not [i for i in infos if i.startswith('Distance')]
    assert [i for i in infos if f'data sets {same:.3g}' in i]


def test_other_images_are_farther_and_the_run_is_the_same(
    image_folders, tmp_path, monkeypatch
):
    folders = tmp_path / 'others'
    (folders / 'pretext').mkdir(parents=True)
    shutil.copytree(image_folders / 'downstream', folders / 'downstream')
    for i in range(12):
        picture = np.full((36, 36, 3), 10 + i, np.uint8)
        Image.fromarray(picture).save(folders / 'pretext' / f'{i}.png')
    measured, _ = run(monkeypatch, folders, tmp_path / 'measured', images=12)
    assert measured.message_hub.get_info(NAME) > 0.3
    without, infos = run(monkeypatch, folders, tmp_path / 'without')
    assert not [i for i in infos if 'data sets' in i]
    for name, value in weights(without).items():
        assert torch.equal(value, weights(measured)[name]), name


class Sorted:
    """Image files named by their brightness, in ascending order."""

    def __init__(self, *values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def get_data_info(self, index):
        return dict(img_path=self.values[index])


def test_the_order_of_class_folders_does_not_hide_a_difference(monkeypatch):
    """In order, each batch has one of two classes beside the grey images, and a norm
    puts them at the same distance from these, once on either side."""
    upper, lower = Sorted(*[0.0] * 50, *[10.0] * 50), Sorted(*[5.0] * 100)
    streams = dict(
        lower=SimpleNamespace(dataset=lower), upper=SimpleNamespace(dataset=upper)
    )
    prepared = SimpleNamespace(
        pipeline=lambda info: dict(inputs=torch.full((1, 2, 2), info['img_path']))
    )
    plain = Plain()
    model = SimpleNamespace(
        downstream=plain, upper_state_at_lower=lambda: dict(plain.state_dict())
    )
    monkeypatch.setattr(data_distance_hook, 'unwrap', lambda model: model)
    found = {}
    runner = SimpleNamespace(
        _resume=False,
        train_loop=SimpleNamespace(iter=0, streams=streams),
        val_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=prepared)),
        model=model,
        message_hub=SimpleNamespace(update_info=found.__setitem__),
        visualizer=SimpleNamespace(add_scalar=lambda *args, **kwargs: None),
        logger=SimpleNamespace(info=lambda text: None),
    )
    DataDistanceHook().before_train(runner)
    assert found[NAME] > 0.3
    # Fewer images are of all folders, too: in the first 20 there are no bright ones,
    # and their distance from the grey ones is the largest.
    whole = found[NAME]
    DataDistanceHook(max_images=20).before_train(runner)
    assert found[NAME] == pytest.approx(whole, abs=0.1) and whole < 0.9
    # A run that stopped within its first alternation has measured.
    vars(runner).update(_resume=True)
    runner.message_hub.runtime_info = found
    found[NAME] = -1.0
    DataDistanceHook().before_train(runner)
    assert found[NAME] == -1.0


def test_data_that_cannot_be_prepared_are_named():
    infos = []
    data = SimpleNamespace(pipeline=lambda info: info['boxes'])
    dataset = type(
        'Files',
        (),
        dict(__len__=lambda self: 3, get_data_info=lambda *_: dict(img_path='a.jpg')),
    )()
    runner = SimpleNamespace(
        _resume=False,
        train_loop=SimpleNamespace(
            iter=0,
            streams=dict.fromkeys(('lower', 'upper'), SimpleNamespace(dataset=dataset)),
        ),
        val_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=data)),
        model=Plain(),
        logger=SimpleNamespace(info=infos.append),
    )
    DataDistanceHook().before_train(runner)
    assert len(infos) == 1 and 'is not measured' in infos[0]
    with pytest.raises(ValueError, match='max_images'):
        DataDistanceHook(max_images=0)
