"""SimCLR's views are those of the transforms that mmpretrain has."""

import copy

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS, init_default_scope

import bissl_mm.datasets  # noqa: F401  (registers)
from bissl_mm.utils.random import seeded


def written_out(size, min_scale):
    """The transforms that the configs had before the registered one."""
    common = [
        dict(
            type='RandomResizedCrop',
            scale=size,
            crop_ratio_range=(min_scale, 1.0),
            interpolation='bicubic',
            backend='pillow',
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(
            type='RandomApply',
            transforms=[
                dict(
                    type='ColorJitter',
                    brightness=0.4,
                    contrast=0.4,
                    saturation=0.2,
                    hue=0.1,
                )
            ],
            prob=0.8,
        ),
        dict(
            type='RandomGrayscale',
            prob=0.2,
            keep_channels=True,
            channel_weights=(0.114, 0.587, 0.2989),
        ),
    ]
    blur = dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf')
    first = [*common, dict(blur, prob=1.0)]
    second = [*common, dict(blur, prob=0.1), dict(type='Solarize', thr=128, prob=0.2)]
    return dict(type='MultiView', num_views=[1, 1], transforms=[first, second])


def views(transform, image, seed):
    with seeded(seed):
        return transform(dict(img=image.copy(), img_shape=image.shape[:2]))['img']


@pytest.mark.parametrize('size, min_scale', [(96, 0.5), (48, 0.2), (224, 0.5)])
def test_views_are_those_of_the_transforms_written_out(size, min_scale):
    init_default_scope('mmpretrain')
    expected = TRANSFORMS.build(written_out(size, min_scale))
    settings = dict(type='bissl_mm.SimCLRViews', size=size, min_scale=min_scale)
    found = TRANSFORMS.build(copy.deepcopy(settings))
    rng = np.random.default_rng(0)
    seen = set()
    for seed in range(24):
        image = rng.integers(0, 255, (61 + seed, 83, 3), np.uint8)
        ours, theirs = views(found, image, seed), views(expected, image, seed)
        assert len(ours) == 2
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == (size, size, 3) and a.dtype == b.dtype
            assert np.array_equal(a, b)
        seen |= {a.tobytes() for a in ours}
    # No two pixels are equal, so the comparison depends on the draws.
    assert len(seen) == 48


def test_numbers_of_the_views_reach_them():
    init_default_scope('mmpretrain')
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    plain = dict(
        type='bissl_mm.SimCLRViews',
        size=24,
        min_scale=1.0,
        jitter_prob=0.0,
        gray_prob=0.0,
        blur_probs=(0.0, 0.0),
        solarize_prob=0.0,
    )
    first, second = views(TRANSFORMS.build(dict(plain)), image, 3)
    # What is left are crops of a whole side and mirrors.
    again = views(TRANSFORMS.build(dict(plain, blur_probs=(1.0, 0.0))), image, 3)
    assert not np.array_equal(again[0], first)
    grey = views(TRANSFORMS.build(dict(plain, gray_prob=1.0)), image, 3)
    assert all((view == view[..., :1]).all() for view in grey)
    assert not (second == second[..., :1]).all()
    bright = dict(plain, jitter_prob=1.0, color_jitter=(0.0, 0.0, 0.0, 0.0))
    assert (
        np.abs(views(TRANSFORMS.build(bright), image, 3)[0].astype(int) - first).max()
        <= 2
    )
    solar = views(TRANSFORMS.build(dict(plain, solarize_prob=1.0)), image, 3)
    assert solar[1].max() < 128 <= solar[0].max()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(size=0), 'size must be a number of at least 1, but is 0'),
        (dict(size=(96, 96)), 'size must be a number of at least 1'),
        (dict(size=96, min_scale=8), 'min_scale must be a number of at least 0 and'),
        (dict(size=96, color_jitter=0.4), 'color_jitter must be 4 numbers'),
        (dict(size=96, blur_probs=(1.0, 2.0)), 'blur_probs must be 2 numbers'),
        (dict(size=96, gray_prob='0.2'), "gray_prob must be .* but is '0.2'"),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='bissl_mm.SimCLRViews', **settings))


def test_misspelt_key_is_named():
    with pytest.raises(TypeError, match="Did you mean 'min_scale'"):
        TRANSFORMS.build(dict(type='bissl_mm.SimCLRViews', size=96, min_size=0.2))
