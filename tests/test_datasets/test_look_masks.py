"""Ids in masks, and whether the loader keeps them."""

import cv2
import numpy as np
import pytest
import seg_folders
from PIL import Image

import bissl_mm.datasets  # noqa: F401
from bissl_mm.datasets.look import look_over

pytestmark = pytest.mark.mmcv_ops


def channels(mode):
    return lambda ids, part, i: Image.merge(mode, [Image.fromarray(ids)] * len(mode))


def palette(ids, part, i):
    picture = Image.fromarray(ids).convert('P')
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.putdata(ids.flatten().tolist())
    return picture


def test_right_masks_are_counted_and_pass(tmp_path):
    look = look_over(seg_folders.write(tmp_path))
    assert (look.refusals, look.warnings) == ([], [])
    own = np.stack([seg_folders.ids('val', i) for i in range(3)])
    assert look.parts['val'].classes == {
        name: dict(pixels=int((own == i).sum())) for i, name in enumerate('abc')
    }
    assert look.parts['val'].facts['sizes'] == '12 x 8'


@pytest.mark.parametrize(
    'mask',
    [
        palette,
        lambda m, part, i: m.astype(np.uint16),
        lambda m, part, i: np.where(m == 2, 255, m).astype(np.uint8),
    ],
    ids=['palette', '16 bits', 'ignored'],
)
def test_what_the_loader_reads_rightly_passes(mask, tmp_path):
    assert not look_over(seg_folders.write(tmp_path, mask=mask)).refusals


@pytest.mark.parametrize(
    'mask, texts',
    [
        (
            lambda m, part, i: (m > 0).astype(np.uint8) * 255,
            [
                "'b', 'c' have no pixel in any of 3 masks (2 of 3 classes). Id 255 "
                'is ignored and covers'
            ],
        ),
        (lambda m, part, i: m * 0 + 1, ["'a', 'c' have no pixel in any of 3"]),
        (channels('RGB'), ['000.png', 'mode RGB', 'getchannel(0)']),
        (channels('RGBA'), ['000.png', 'mode RGBA', 'getchannel(0)']),
        (channels('LA'), ['000.png', 'mode LA']),
        (
            lambda *args: palette(*args).convert('RGB'),
            ['mode RGB', 'Colours are not ids'],
        ),
        (
            lambda m, part, i: m.astype(np.uint16) * 256,
            ['000.png', 'mode I;16', 'becomes 0', 'multiples of 256'],
        ),
        (lambda m, part, i: m.astype(np.uint16) * 257, ['becomes', 'multiples of 257']),
        (
            lambda m, part, i: m.astype(np.uint16) * 1000 + 7,
            ['1007 becomes 239', 'ids 0 to 2'],
        ),
        (lambda m, part, i: m * 85, ['id(s) 85', 'Divide them by 85']),
        (lambda m, part, i: m + 1, ['id(s) 3', 'reduce_zero_label=True']),
    ],
    ids=lambda value: '' if callable(value) else value[-1],
)
def test_wrong_masks_are_refused(mask, texts, tmp_path):
    look = look_over(seg_folders.write(tmp_path, mask=mask), ['train'])
    assert len(look.refusals) == 1
    assert [t for t in texts if t not in look.refusals[0]] == []


@pytest.mark.parametrize(
    'bits, text',
    [(2, '2 bits per pixel): 1 becomes 85'), (4, '4 bits per pixel): 1 becomes 17')],
)
def test_grey_levels_of_few_bits_are_refused(bits, text, tmp_path):
    cfg = seg_folders.write(tmp_path)
    for path in (tmp_path / 'masks').rglob('*.png'):
        Image.open(path).save(path, bits=bits)
    look = look_over(cfg, ['val'])
    assert len(look.refusals) == 1 and text in look.refusals[0]


@pytest.mark.parametrize(
    'mask, text',
    [
        (palette, "imdecode_backend='pillow'"),
        (lambda m, part, i: Image.fromarray(m > 0), '1 becomes 255'),
    ],
)
def test_other_decoder_changes_ids(mask, text, tmp_path):
    cfg = seg_folders.write(tmp_path, mask=mask)
    cfg.val_dataloader.dataset.pipeline[1].imdecode_backend = 'cv2'
    look = look_over(cfg, ['val'])
    assert len(look.refusals) == 1 and text in look.refusals[0]


def test_floats_are_refused_unless_whole(tmp_path):
    cfg = seg_folders.write(tmp_path)
    for part, factor in (('train', 1.0), ('val', 0.5)):
        cfg[f'{part}_dataloader'].dataset.seg_map_suffix = '.tif'
        for path in (tmp_path / 'masks' / part).glob('*.png'):
            seg_folders.save(
                np.asarray(Image.open(path)).astype(np.float32) * factor,
                path.with_suffix('.tif'),
            )
    look = look_over(cfg, ['train', 'val'])
    assert len(look.refusals) == 1
    assert 'val_dataloader' in look.refusals[0]
    assert '0.5 becomes 0' in look.refusals[0]


def test_last_number_of_a_type_may_stand_for_255(tmp_path):
    def mask(own, part, i):
        own = own.astype(np.uint16)
        own[0, 0] = 65535
        return own

    look = look_over(seg_folders.write(tmp_path, mask=mask), ['train'])
    assert not look.refusals
    assert 'id 65535' in look.warnings[0] and '255' in look.warnings[0]


@pytest.mark.parametrize('part, value', [('train', 3), ('val', 200), ('test', 3)])
def test_undeclared_id_is_refused_in_every_part(part, value, tmp_path):
    def mask(own, where, i):
        if (where, i) == (part, 1):
            own[3, 3] = value
        return own

    look = look_over(seg_folders.write(tmp_path, mask=mask))
    assert len(look.refusals) == 1
    for text in (
        f'{part}_dataloader',
        f'masks/{part}/001.png',
        f'id(s) {value}',
        '1 of 3 masks',
        '3 classes',
    ):
        assert text in look.refusals[0]


def test_ids_are_those_after_the_label_map(tmp_path):
    cfg = seg_folders.write(tmp_path)
    dataset = cfg.train_dataloader.dataset
    dataset.reduce_zero_label = True
    dataset.metainfo = dict(classes=('b', 'c'))
    cfg.model.decode_head.num_classes = 2
    look = look_over(cfg, ['train'])
    assert not look.refusals
    assert list(look.parts['train'].classes) == ['b', 'c']


@pytest.mark.parametrize('seen', [False, True])
def test_one_class_in_the_sample_is_looked_for_in_all(seen, tmp_path):
    def mask(own, part, i):
        own[:] = np.where(own == 2, 255, 0)
        # The sample of 64 leaves this one out.
        own[0, 0] = int(seen and i == LEFT_OUT)
        return own

    look = look_over(seg_folders.write(tmp_path, 66, mask=mask), ['val'])
    assert bool(look.refusals) == (not seen)
    assert ('any of 66 masks' in (look.refusals or [''])[0]) == (not seen)


def test_rare_class_is_called_not_seen(tmp_path):
    def mask(own, part, i):
        return own * (own < 2) + 2 * (i == LEFT_OUT)

    cfg = seg_folders.write(tmp_path, 66, mask=mask)
    look = look_over(cfg, ['val'])
    assert not look.refusals
    assert "'c' was not seen in 64 sampled masks of 66" in look.warnings[0]
    assert not look_over(cfg, ['val'], everything=True).warnings


def _left_out():
    import random

    return (set(range(66)) - set(random.Random(1).sample(range(66), 64))).pop()


LEFT_OUT = _left_out()


def test_jpeg_masks_are_warned_of(tmp_path):
    cfg = seg_folders.write(tmp_path)
    cfg.val_dataloader.dataset.seg_map_suffix = '.jpg'
    for path in (tmp_path / 'masks/val').glob('*.png'):
        flat = np.asarray(Image.open(path)) * 0 + 1
        cv2.imwrite(str(path.with_suffix('.jpg')), flat)
    look = look_over(cfg, ['val'])
    assert any('3 of 3 masks are JPEG' in line for line in look.warnings)


@pytest.mark.parametrize(
    'damage',
    [
        lambda p: p.write_bytes(b''),
        lambda p: p.write_bytes(b'this is no picture'),
        lambda p: p.write_bytes(p.read_bytes()[:45]),
    ],
)
def test_damaged_mask_is_named(damage, tmp_path):
    cfg = seg_folders.write(tmp_path)
    damage(tmp_path / 'masks/train/002.png')
    look = look_over(cfg, ['train', 'val'])
    assert len(look.refusals) == 1
    assert 'masks/train/002.png' in look.refusals[0]
    assert 'the mask' in look.refusals[0]


COLOURS = (0, 0, 0, 250, 0, 0, 0, 250, 0, 0, 0, 250)


def with_palette(ids, order=(0, 1, 2), colours=COLOURS):
    """A mask whose class ``k`` has the id ``order[k]``, colours kept."""
    picture = Image.fromarray(np.array(order, np.uint8)[ids], 'L')
    picture = picture.copy()
    picture.putpalette(
        [channel for k in np.argsort(order) for channel in colours[3 * k : 3 * k + 3]]
    )
    return picture


@pytest.mark.parametrize(
    'order, where',
    [
        (
            lambda part, i: (1, 0, 2) if part == 'val' else (0, 1, 2),
            'train_dataloader.dataset and val_dataloader.dataset',
        ),
        (
            lambda part, i: (2, 1, 0) if (part, i) == ('test', 2) else (0, 1, 2),
            'train_dataloader.dataset and test_dataloader.dataset',
        ),
        # Each mask has its own palette, as programs write that count colours.
        (
            lambda part, i: ((0, 1, 2), (1, 2, 0), (2, 0, 1))[i],
            'train_dataloader.dataset',
        ),
    ],
)
def test_a_colour_of_two_ids_is_told(order, where, tmp_path):
    look = look_over(
        seg_folders.write(
            tmp_path, mask=lambda ids, part, i: with_palette(ids, order(part, i))
        )
    )
    (line,) = (w for w in look.warnings if 'colour' in w)
    assert line.startswith(f'{where}: the colour (')
    assert not look.refusals


@pytest.mark.parametrize(
    'colours',
    [
        lambda i: COLOURS,
        lambda i: (0,) * 12,
        lambda i: (i, 1, 9, i, 2, 9, i, 3, 9, i, 4, 9),
    ],
)
def test_palettes_of_any_colours_pass(colours, tmp_path):
    look = look_over(
        seg_folders.write(
            tmp_path, mask=lambda ids, part, i: with_palette(ids, colours=colours(i))
        )
    )
    assert not [w for w in look.warnings if 'colour' in w]
