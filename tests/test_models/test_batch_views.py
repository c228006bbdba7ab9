"""Views of batches against their definition."""

import colorsys

import pytest
import torch

from bissl_mm.models import BatchViews, SmallResLayer, SmallResNet
from bissl_mm.models.batch_views import hue_rotation
from bissl_mm.registry import MODELS

MEAN, STD = [120.0, 110.0, 100.0], [50.0, 60.0, 70.0]


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (40, 3, 16, 16), generator=generator, dtype=torch.uint8)


def views(images, seed=0, training=True, **settings):
    torch.manual_seed(seed)
    return BatchViews(MEAN, STD, **settings)(
        dict(inputs=images, data_samples=None), training
    )['inputs']


def pixels(normalised):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return normalised * std + mean


NOTHING = dict(crop_scale=None, flip_prob=0.0)


@pytest.mark.parametrize('training', [False, True])
def test_without_draws_images_are_normalised_alone(images, training):
    settings = NOTHING if training else {}
    found = views(images, training=training, **settings)
    expected = (
        images.flip(1).float() - torch.tensor(MEAN).view(3, 1, 1)
    ) / torch.tensor(STD).view(3, 1, 1)
    assert torch.equal(found, expected)
    assert torch.allclose(
        pixels(views(list(images), training=training, to_rgb=False, **settings)),
        images.float(),
        atol=1e-3,
    )


def test_a_whole_crop_is_the_image_or_its_mirror(images):
    found = pixels(
        views(images, to_rgb=False, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    )
    same = [(a - b).abs().max() < 0.1 for a, b in zip(found, images)]
    mirrored = [(a - b.flip(2)).abs().max() < 0.1 for a, b in zip(found, images)]
    assert all(s != m for s, m in zip(same, mirrored))
    assert 8 < sum(mirrored) < 32


def test_crops_lie_within_the_image_and_have_its_scale():
    # Each pixel encodes its position, so a crop shows its corners.
    place = torch.arange(64.0)
    ramp = torch.stack(
        [place.expand(64, 64), place.expand(64, 64).T, torch.zeros(64, 64)]
    ).to(torch.uint8)
    found = pixels(
        views(
            ramp.repeat(300, 1, 1, 1),
            to_rgb=False,
            crop_scale=(0.2, 0.6),
            flip_prob=0.0,
        )
    )
    width = (found[:, 0, 0, -1] - found[:, 0, 0, 0]) / 63
    height = (found[:, 1, -1, 0] - found[:, 1, 0, 0]) / 63
    area = width * height
    assert area.min() > 0.18 and area.max() < 0.62
    assert area.min() < 0.25 and area.max() > 0.55
    ratio = width / height
    assert 0.7 < ratio.min() < 0.85 and 1.2 < ratio.max() < 1.4
    assert found[:, :2].min() > -1e-3 and found[:, :2].max() < 63.001
    # Corners everywhere.
    assert found[:, 0, 0, 0].min() < 3 and found[:, 0, 0, -1].max() > 60
    wide = dict(crop_scale=(0.2, 0.4), crop_ratio=(1.5, 2.0), flip_prob=0.0)
    found = pixels(views(ramp.repeat(50, 1, 1, 1), to_rgb=False, **wide))
    width, height = (
        (found[:, c, -1, -1] - found[:, c, 0, 0]).abs() / 63 for c in (0, 1)
    )
    assert (width / height).min() > 1.4 and (width / height).max() < 2.1


def test_views_differ_and_follow_the_seed(images):
    first, second = views(images, num_views=2)
    assert first.shape == second.shape == images.shape
    assert not torch.equal(first, second)
    again = views(images, num_views=2)
    assert torch.equal(again[0], first) and torch.equal(again[1], second)
    # Image by image: crops of the same image differ in a batch.
    same = views(images[:1].repeat(4, 1, 1, 1))
    assert len({tuple(v.flatten()[:9].tolist()) for v in same}) == 4


@pytest.mark.parametrize(
    'name, most', [('brightness', 0.4), ('contrast', 0.4), ('saturation', 0.4)]
)
def test_jitter_is_a_factor_around_its_centre(images, name, most):
    # From the middle of the range, so that nothing is cut off.
    images = (images.float() / 4 + 96).to(torch.uint8)
    found = pixels(views(images, to_rgb=False, color_jitter={name: most}, **NOTHING))
    grey = (images.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(
        1, keepdim=True
    )
    centre = dict(
        brightness=torch.zeros(1),
        saturation=grey,
        contrast=grey.mean((2, 3), keepdim=True),
    )[name]
    before, after = images.float() - centre, found - centre
    factor = (before * after).sum((1, 2, 3)) / before.square().sum((1, 2, 3))
    assert torch.allclose(after, factor.view(-1, 1, 1, 1) * before, atol=0.05)
    assert 1 - most <= factor.min() < 1 - most / 2
    assert 1 + most / 2 < factor.max() <= 1.0001 + most


def test_hue_turns_as_colorsys_does():
    yiq = BatchViews([0.0] * 3, [1.0] * 3).yiq
    turn = torch.tensor([0.0, 1 / 3])
    red = torch.tensor([200.0, 100.0, 100.0])
    same, turned = hue_rotation(turn * 2 * torch.pi, yiq) @ red
    assert torch.allclose(same, red, atol=1e-3)
    hue = colorsys.rgb_to_hsv(*turned.tolist())[0]
    assert min(hue, 1 - hue) == pytest.approx(1 / 3, abs=0.05)
    grey = torch.full((3,), 70.0)
    turned = hue_rotation(torch.tensor([1.0]), yiq)[0] @ grey
    assert torch.allclose(turned, grey, atol=0.2)


def test_hues_turn_by_up_to_their_share_of_a_turn():
    red = torch.tensor([140.0, 110.0, 110.0]).view(1, 3, 1, 1)
    found = pixels(
        views(
            red.repeat(400, 1, 4, 4).to(torch.uint8),
            to_rgb=False,
            color_jitter=dict(hue=0.1),
            **NOTHING,
        )
    )
    # The angle in the plane of I and Q.
    i, q = (
        (found[:, :, 0, 0] * torch.tensor(row)).sum(1)
        for row in ((0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
    )
    turns = torch.atan2(q, i) / (2 * torch.pi)
    start = torch.atan2(torch.tensor(0.211), torch.tensor(0.596)) / (2 * torch.pi)
    turned = turns - start
    assert -0.101 < turned.min() < -0.09 and 0.09 < turned.max() < 0.101


def test_shares_of_grey_and_of_jittered_images(images):
    images = images.repeat(20, 1, 1, 1)
    found = pixels(views(images, gray_prob=0.2, **NOTHING))
    grey = ((found[:, 0] - found[:, 1]).abs().amax((1, 2)) < 0.01).float()
    assert 0.14 < grey.mean() < 0.26
    found = pixels(
        views(
            images, to_rgb=False, **NOTHING, color_jitter=dict(brightness=0.4, prob=0.8)
        )
    )
    changed = ((found - images).abs().amax((1, 2, 3)) > 0.01).float()
    assert 0.74 < changed.mean() < 0.86


def test_what_it_cannot_do_is_refused(images):
    with pytest.raises(TypeError, match='images of one size'):
        views([images[0], images[0, :, :8]])
    with pytest.raises(ValueError, match='std must be above 0'):
        BatchViews(MEAN, [50.0, 0.0, 70.0])
    with pytest.raises(ValueError, match='cannot mix images'):
        BatchViews(MEAN, STD, batch_augments=dict(augments=[]))
    with pytest.raises(TypeError, match="key 'bright'"):
        BatchViews(MEAN, STD, color_jitter=dict(bright=1))


def test_small_network():
    network = SmallResNet()
    assert sum(p.numel() for p in network.parameters()) == 307_536
    assert network(torch.zeros(2, 3, 32, 32))[-1].shape == (2, 128, 2, 2)
    deeper = MODELS.build(dict(type='bissl_mm.SmallResNet', depth=18, stem_stride=1))
    assert deeper(torch.zeros(2, 3, 32, 32))[-1].shape == (2, 128, 4, 4)


def test_shared_head_is_the_last_stage_of_the_small_network():
    network, head = SmallResNet(), SmallResLayer()
    stages = SmallResNet(
        num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)
    )
    network.eval()
    for part in (head, stages):
        part.eval()
        left = part.load_state_dict(network.state_dict(), strict=False)
        assert not left.missing_keys
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(head(stages(images)[-1]), network(images)[-1])
