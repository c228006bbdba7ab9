"""Messages name differences between models whose tensors fit."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from small_models import classifier_cfg, simclr_cfg

import bissl_mm.models  # noqa: F401
from bissl_mm.models.agreement import differences, statistics_note
from bissl_mm.models.weights.pixels import Pixels
from bissl_mm.utils.errors import ValueRefusal

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def model(upper=None, lower=None, upper_norm=NORM, lower_norm=NORM, depth=18):
    pretext, downstream = simclr_cfg(), classifier_cfg()
    pretext['data_preprocessor'] = dict(type='SelfSupDataPreprocessor', **lower_norm)
    downstream['data_preprocessor'] = dict(type='ClsDataPreprocessor', **upper_norm)
    pretext['backbone'].update(depth=depth, **(lower or {}))
    downstream['backbone'].update(depth=depth, **(upper or {}))
    torch.manual_seed(0)
    return MODELS.build(
        dict(type='bissl_mm.BiSSLModel', pretext=pretext, downstream=downstream)
    )


def test_pixels_of_the_authors_release_are_one_switch():
    """Pixels of 0 to 255 by ImageNet's mean and deviation of pixels of 0 to 1."""
    pretext, downstream = simclr_cfg(), classifier_cfg()
    pretext['data_preprocessor'] = dict(type='SelfSupDataPreprocessor', **NORM)
    downstream['data_preprocessor'] = dict(type='ClsDataPreprocessor', **NORM)
    given = dict(type='bissl_mm.BiSSLModel', pretext=pretext, downstream=downstream)
    built = MODELS.build(dict(given, unscaled_pixels=True))
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    pair = dict(inputs=[images.clone()], data_samples=None)
    (views,) = built.pretext.data_preprocessor(pair)['inputs']
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(views, (images.flip(1) - mean) / std)
    scaled = built.downstream.data_preprocessor(dict(inputs=images.clone()))['inputs']
    torch.testing.assert_close(scaled, (images.flip(1) / 255 - mean) / std)
    # Asked for, so it is no difference; another one still is.
    assert differences(built) == []
    downstream['data_preprocessor']['mean'] = [127.5] * 3
    assert one(differences(MODELS.build(dict(given, unscaled_pixels=True))))


@pytest.mark.parametrize('norm', [dict(mean=None, std=None), dict(mean=[0.5], std=[1])])
def test_pixels_that_are_not_scaled_cannot_be_unscaled(norm):
    pretext = simclr_cfg()
    pretext['data_preprocessor'] = dict(type='SelfSupDataPreprocessor', **norm)
    with pytest.raises(ValueRefusal, match='Set unscaled_pixels=False'):
        MODELS.build(
            dict(
                type='bissl_mm.BiSSLModel',
                pretext=pretext,
                downstream=classifier_cfg(),
                unscaled_pixels=True,
            )
        )


def one(found) -> str:
    (text,) = found
    return text


@pytest.mark.parametrize(
    'changes',
    [
        dict(),
        # Dilation instead of a stride, as in dense tasks.
        dict(upper=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))),
        dict(upper=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))),
        dict(upper=dict(norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'))),
        dict(upper=dict(drop_path_rate=0.1)),
    ],
)
def test_what_is_no_difference_is_not_said(changes):
    assert differences(model(**changes)) == []


@pytest.mark.parametrize(
    'changes, both',
    [
        (dict(to_rgb=False), (' of RGB', ' of BGR')),
        (
            dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False),
            ('/ [58.395, 57.12, 57.375] of RGB', '/ [1, 1, 1] of BGR'),
        ),
        (
            dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            ('[123.675, 116.28, 103.53]', '[0.485, 0.456, 0.406]'),
        ),
        (
            dict(mean=[127.5] * 3, std=[127.5] * 3),
            ('[58.395, 57.12, 57.375]', '[127.5, 127.5, 127.5]'),
        ),
        (dict(mean=None, std=None), ('[58.395, 57.12, 57.375]', '/ [1]')),
    ],
)
def test_other_pixels_are_said_with_both_values(changes, both):
    text = one(differences(model(upper_norm={**NORM, **changes})))
    assert all(value in text for value in both)
    swapped = one(differences(model(lower_norm={**NORM, **changes})))
    assert text != swapped


@pytest.mark.parametrize(
    'steps, order, mean, std',
    [
        ([], 'BGR', [0.0], [1.0]),
        (
            [dict(type='mmcv.Normalize', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])],
            'RGB',
            [1.0, 2.0, 3.0],
            [4.0, 5.0, 6.0],
        ),
        (
            [dict(type='Normalize', mean=[1.0, 2.0, 3.0], std=[4.0] * 3, to_rgb=False)],
            'BGR',
            [1.0, 2.0, 3.0],
            [4.0] * 3,
        ),
        (
            [
                dict(type='torchvision/ToTensor'),
                dict(type='torchvision/Normalize', mean=[0.5] * 3, std=[0.25] * 3),
            ],
            'BGR',
            [127.5] * 3,
            [63.75] * 3,
        ),
        (
            [
                dict(
                    type='Albu',
                    transforms=[dict(type='Normalize', mean=[0.5] * 3, std=[0.25] * 3)],
                )
            ],
            'BGR',
            [127.5] * 3,
            [63.75] * 3,
        ),
        (
            [
                dict(
                    type='MultiView',
                    num_views=[1, 1],
                    transforms=[
                        [dict(type='torchvision/ToTensor')],
                        [dict(type='torchvision/ToTensor')],
                    ],
                )
            ],
            'BGR',
            [0.0],
            [255.0],
        ),
    ],
)
def test_transforms_that_change_pixels_are_read(steps, order, mean, std):
    pixels = Pixels.of(torch.nn.Identity(), steps)
    assert pixels.order == order
    assert pixels.mean == pytest.approx(mean)
    assert pixels.std == pytest.approx(std)


def test_a_range_of_one_against_255_is_said():
    steps = [dict(type='torchvision/ToTensor')]
    text = one(differences(model(), (), steps))
    assert '[31536.9' in text or '/ [14890.7' in text


@pytest.mark.parametrize(
    'upper, depth, texts',
    [
        (
            dict(style='caffe'),
            50,
            (
                "'backbone.layer2.0.conv1' of the pretext model has stride=(1, 1)",
                'downstream model has (2, 2), and so do 5 more',
                "style='pytorch' against 'caffe'",
            ),
        ),
        (
            dict(strides=(1, 2, 2, 1)),
            18,
            ("'backbone.layer4.0.conv1' of the pretext model has stride=(2, 2)",),
        ),
        (dict(dilations=(1, 1, 1, 2)), 18, ('dilation=(1, 1)', '(2, 2)')),
        (dict(norm_cfg=dict(type='BN', eps=1e-3)), 18, ('eps=1e-05', '0.001')),
        (dict(norm_cfg=dict(type='BN', momentum=0.01)), 18, ('momentum=0.1', '0.01')),
    ],
)
def test_layers_that_compute_something_else_are_named(upper, depth, texts):
    found = [
        line for line in differences(model(upper, depth=depth)) if 'padding' not in line
    ]
    text = one(found)
    assert all(part in text for part in texts)


def test_features_differ_where_it_is_said():
    both = model(dict(style='caffe'), depth=50)
    both.init_weights()
    for norm in both.pretext.backbone.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            # The last norm of each block starts at zero.
            torch.nn.init.ones_(norm.weight)
    both.copy_backbone_to_upper()
    both.eval()
    x = torch.randn(1, 3, 64, 64)
    lower, upper = (m.backbone(x)[-1] for m in (both.pretext, both.downstream))
    assert (lower - upper).norm() > 0.01 * lower.norm()
    assert differences(both)


@pytest.mark.parametrize(
    'layer, name, texts',
    [
        (torch.nn.GELU(), 'relu', ('ReLU()', 'GELU(')),
        (torch.nn.LeakyReLU(0.1), 'relu', ('ReLU()', 'LeakyReLU(negative_')),
        (torch.nn.MaxPool2d(3, 2, 0), 'maxpool', ('padding=1', 'padding=0')),
    ],
)
def test_layers_without_weights_are_compared(layer, name, texts):
    both = model()
    setattr(both.downstream.backbone, name, layer)
    text = one(differences(both))
    assert f"'backbone.{name}' of the pretext" in text
    assert all(part in text for part in texts)


@pytest.mark.parametrize('changes', [dict(norm_eval=True), dict(frozen_stages=1)])
def test_running_statistics_in_one_model_are_noted(changes):
    both = model()
    assert statistics_note(both) is None
    both = copy.deepcopy(both)
    backbone = both.downstream.backbone
    for key, value in changes.items():
        setattr(backbone, key, value)
    both.eval()
    note = statistics_note(both)
    assert not both.training
    assert "uses its batch's statistics" in note and 'running ones' in note
