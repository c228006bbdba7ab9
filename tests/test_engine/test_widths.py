"""A layer that is given another number of channels is named, with what to set."""

import pytest
import torch
from mmengine.model import BaseModel
from mmpretrain.models import GlobalAveragePooling, NonLinearNeck
from small_run import make_runner, small_config
from torch import nn
from toy import DictDataset

from bissl_mm.engine.launch import ToolRunner
from bissl_mm.models.pretext.dino import DINONeck
from bissl_mm.utils.errors import ValueRefusal


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (
            dict(model__downstream__head__in_channels=16),
            r"'downstream\.head\.fc' \(Linear\) was built for 16 channels and is given "
            r'8 \(an input of shape \(\d+, 8\)\)\. Set 8 in place of 16 in in_channels '
            r'of model\.downstream\.head\.$',
        ),
        (
            dict(model__pretext__neck__in_channels=32),
            r"'pretext\.neck\.fc0' \(Linear\) was built for 32 channels and is given 8 "
            r'.*Set 8 in place of 32 in the settings of model\.pretext\.neck\.$',
        ),
    ],
)
def test_a_stage_names_the_layer_and_the_setting(
    image_folders, tmp_path, monkeypatch, options, expected
):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path, **options))
    with pytest.raises(ValueRefusal, match=expected) as caught:
        run.train()
    assert isinstance(caught.value.__cause__, RuntimeError)


class _Pyramid(nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.in_channels = in_channels
        self.layers = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in in_channels)

    def forward(self, x):
        return sum(layer(x).mean() for layer in self.layers)


class _Model(BaseModel):
    def __init__(self, layer, loss=None):
        super().__init__()
        self.body = layer
        self.own_loss = loss

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if isinstance(inputs, list):
            inputs = torch.stack(inputs)
        if self.own_loss is not None:
            return dict(loss=self.own_loss(self.body(inputs)))
        return dict(loss=self.body(inputs).mean())


@pytest.mark.parametrize(
    ('layer', 'expected'),
    [
        (
            lambda: _Pyramid([6, 5]),
            r"'body\.layers\.1' \(Conv2d\) was built for 5 channels and is given 6 .*in "
            r'in_channels of model\.body\.$',
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(6, 3, 1), nn.BatchNorm2d(7)),
            r"'body\.1' \(BatchNorm2d\) was built for 7 channels and is given 3 .*in "
            r'the settings of model\.body\.$',
        ),
        (
            lambda: nn.Sequential(nn.Flatten(2), nn.LayerNorm(9)),
            r"'body\.1' \(LayerNorm\) was built for 9 channels and is given 4 ",
        ),
    ],
)
def test_layers_of_other_trainings_are_named(tmp_path, layer, expected):
    with pytest.raises(ValueRefusal, match=expected):
        plain_run(tmp_path, _Model(layer())).train()


class _Necked(nn.Module):
    """A neck after a backbone of vectors, as ConvNeXt and ViT give them."""

    def __init__(self, neck):
        super().__init__()
        self.layer = nn.Linear(24, 24)
        self.neck = neck

    def forward(self, x):
        return self.neck((self.layer(x.flatten(1)),))[0]


@pytest.mark.parametrize(
    ('neck', 'expected'),
    [
        (
            lambda: NonLinearNeck(24, 4, 4, norm_cfg=dict(type='BN1d')),
            r'NonLinearNeck\) .* Set with_avg_pool=False in model\.body\.neck\.$',
        ),
        (
            lambda: DINONeck(24, 4, hid_channels=4),
            r'DINONeck\) averages maps, but is given vectors \(an input of shape '
            r'\(2, 24\)\).* Set with_avg_pool=False in model\.body\.neck\.$',
        ),
        (
            GlobalAveragePooling,
            r'GlobalAveragePooling\) averages .* Remove model\.body\.neck\.$',
        ),
    ],
)
def test_a_neck_that_averages_vectors_is_named(tmp_path, neck, expected):
    with pytest.raises(ValueRefusal, match=r"'body\.neck' \(" + expected):
        plain_run(tmp_path, _Model(_Necked(neck()))).train()


def test_other_errors_stay_as_they_are(tmp_path):
    """Also one in a layer whose width is right, and one outside of all layers."""
    strided = nn.Conv2d(6, 3, 5)
    with pytest.raises(RuntimeError, match='Kernel size') as caught:
        plain_run(tmp_path, _Model(strided)).train()
    assert not isinstance(caught.value, ValueRefusal)
    with pytest.raises(RuntimeError, match='multiplied') as caught:
        plain_run(
            tmp_path,
            _Model(nn.Conv2d(6, 3, 1), lambda x: x.flatten(1) @ torch.ones(1, 1)),
        ).train()
    assert not isinstance(caught.value, ValueRefusal)


def plain_run(work_dir, model):
    """A run of one step on images of 6 channels and 2 x 2 pixels."""
    loader = dict(
        batch_size=2,
        dataset=DictDataset([dict(inputs=torch.ones(6, 2, 2)) for _ in range(2)]),
        sampler=dict(type='DefaultSampler', shuffle=False),
        num_workers=0,
    )
    return ToolRunner(
        model,
        str(work_dir),
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        experiment_name='widths',
    )
