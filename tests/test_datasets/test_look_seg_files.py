"""Files of images and masks that are missing, skipped, or differ in size."""

import numpy as np
import pytest
import seg_folders
from PIL import Image

import bissl_mm.datasets  # noqa: F401
from bissl_mm.datasets.look import look_over
from bissl_mm.datasets.look.headers import read_header

pytestmark = pytest.mark.mmcv_ops


def photo(orientation, kind='JPEG', size=(12, 8)):
    """Saves images that are stored on their side or upside down."""

    def save(path, part, i):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new('RGB', size, (9, 99, 199)).save(path, kind, exif=exif)

    return save


@pytest.mark.parametrize(
    'kind, suffix', [('JPEG', '.jpg'), ('PNG', '.png'), ('WEBP', '.webp')]
)
def test_headers_tell_what_the_decoder_gives(kind, suffix, tmp_path):
    import mmcv

    for orientation in range(1, 9):
        path = str(tmp_path / f'{orientation}{suffix}')
        photo(orientation, kind)(path, '', 0)
        assert read_header(path).orientation == orientation
        for flag in ('color', 'unchanged', 'color_ignore_orientation'):
            for backend in ('cv2', 'pillow'):
                assert mmcv.imread(path, flag, backend=backend).shape[
                    1::-1
                ] == read_header(path).decoded_size(flag, backend)


@pytest.mark.parametrize('orientation', [6, 7])
def test_masks_of_stored_pixels_are_refused(orientation, tmp_path):
    cfg = seg_folders.write(tmp_path, image=photo(orientation), suffix='.jpg')
    look = look_over(cfg)
    assert len(look.refusals) == 3
    for part, line in zip(seg_folders.PARTS, look.refusals, strict=True):
        for text in (
            f'{part}_dataloader',
            f'images/{part}/000.jpg',
            '8 x 12 after decoding',
            'stored as 12 x 8',
            f'EXIF orientation {orientation}',
            'is 12 x 8',
            '3 of 3',
            'color_ignore_orientation',
        ):
            assert text in line
    for part in seg_folders.PARTS:
        cfg[f'{part}_dataloader'].dataset.pipeline[
            0
        ].color_type = 'color_ignore_orientation'
    look = look_over(cfg)
    assert not look.refusals
    assert 'The loader keeps the stored pixels' in look.warnings[0]


@pytest.mark.parametrize('orientation', [5, 8])
def test_masks_of_the_turned_image_pass(orientation, tmp_path):
    look = look_over(
        seg_folders.write(
            tmp_path, image=photo(orientation, size=(8, 12)), suffix='.jpg'
        ),
        ['train'],
    )
    assert (look.refusals, look.warnings) == ([], [])


@pytest.mark.parametrize(
    'orientation, what',
    [(2, 'mirrored'), (3, 'turned by 180 degrees'), (4, 'mirrored upside down')],
)
def test_turns_that_keep_the_size_are_warned_of(orientation, what, tmp_path):
    look = look_over(
        seg_folders.write(tmp_path, image=photo(orientation), suffix='.jpg'), ['val']
    )
    assert not look.refusals and len(look.warnings) == 1
    for text in ('3 of 3 images', '000.jpg', f'with {orientation}, {what})'):
        assert text in look.warnings[0]


def test_square_images_on_their_side_are_warned_of(tmp_path):
    cfg = seg_folders.write(
        tmp_path,
        image=photo(6, size=(8, 8)),
        suffix='.jpg',
        mask=lambda own, part, i: own[:, ::2].repeat(2, 1)[:, :8],
    )
    assert 'with 6, turned by 90' in look_over(cfg, ['test']).warnings[0]


@pytest.mark.parametrize('part', seg_folders.PARTS)
def test_one_mask_of_another_size_is_named(part, tmp_path):
    cfg = seg_folders.write(
        tmp_path,
        mask=lambda own, where, i: own[:, :10] if (where, i) == (part, 2) else own,
    )
    look = look_over(cfg)
    assert len(look.refusals) == 1
    for text in (f'images/{part}/002.png', 'is 12 x 8', '10 x 8', '1 of 3'):
        assert text in look.refusals[0]


def test_masks_of_half_size_train_where_all_is_resized(tmp_path):
    cfg = seg_folders.write(tmp_path, mask=lambda own, part, i: own[::2, ::2])
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='Resize', scale=(12, 8)))
    look = look_over(cfg, ['train', 'val'])
    assert len(look.warnings) == 1 and 'train' in look.warnings[0]
    assert len(look.refusals) == 1 and 'val' in look.refusals[0]


@pytest.mark.parametrize('number', [1, 2])
def test_missing_masks_are_counted(number, tmp_path):
    cfg = seg_folders.write(tmp_path)
    for i in range(number):
        (tmp_path / f'masks/val/00{i + 1}.png').unlink()
    look = look_over(cfg, ['val'])
    assert len(look.refusals) == 1
    for text in (f'{number} of 3 masks do not exist', 'masks/val/001.png'):
        assert text in look.refusals[0]


@pytest.mark.parametrize('suffix', ['.jpg', '.PNG'])
def test_masks_without_images_are_counted(suffix, tmp_path):
    cfg = seg_folders.write(tmp_path)
    folder = tmp_path / 'images/train'
    (folder / '001.png').rename(folder / f'001{suffix}')
    look = look_over(cfg, ['train'])
    assert not look.refusals
    assert any('1 of 3 masks' in line and "'001.png'" in line for line in look.warnings)
    assert any('1 of 3 masks' in line for line in look.parts['train'].left_out)


@pytest.mark.parametrize(
    'wrapper',
    [
        None,
        dict(type='RepeatDataset', times=2),
        dict(type='ConcatDataset', _scope_='mmseg'),
    ],
)
def test_part_without_images_is_refused(wrapper, tmp_path):
    cfg = seg_folders.write(tmp_path)
    dataset = cfg.train_dataloader.dataset
    dataset.img_suffix = '.jpg'
    if wrapper:
        inner = (
            dict(datasets=[dataset])
            if 'times' not in wrapper
            else dict(dataset=dataset)
        )
        cfg.train_dataloader.dataset = dict(wrapper, **inner)
    look = look_over(cfg, ['train'])
    assert len(look.refusals) == 1
    for text in ("'.jpg' (img_suffix)", '3 .png', "img_suffix='.png'"):
        assert text in look.refusals[0]


def test_portrait_and_landscape_in_a_batch_are_refused(tmp_path):
    def image(path, part, i):
        Image.new('RGB', (8, 12) if i % 2 else (12, 8)).save(path)

    cfg = seg_folders.write(
        tmp_path,
        image=image,
        mask=lambda own, part, i: np.ascontiguousarray(own.T) if i % 2 else own,
    )
    look = look_over(cfg)
    assert [line.split('_')[0] for line in look.refusals] == ['val', 'test']
    for text in (
        '000.png',
        '12 x 8',
        '001.png',
        '8 x 12',
        'val_dataloader.batch_size=1',
    ):
        assert text in look.refusals[0]
    cfg.val_dataloader.batch_size = 1
    cfg.test_dataloader.dataset.pipeline.insert(
        1, dict(type='Resize', scale=(8, 8), keep_ratio=False)
    )
    assert not look_over(cfg).refusals


def test_sizes_that_never_share_a_batch_pass(tmp_path):
    def wide(i):
        return i < 2

    cfg = seg_folders.write(
        tmp_path,
        4,
        image=lambda path, part, i: Image.new(
            'RGB', (12, 8) if wide(i) else (12, 4)
        ).save(path),
        mask=lambda own, part, i: own if wide(i) else own[:4],
    )
    assert not look_over(cfg).refusals
    # Each of two processes takes every second image.
    assert len(look_over(cfg, world_size=2).refusals) == 2


def test_masks_resized_before_an_evaluation_are_refused(tmp_path):
    cfg = seg_folders.write(tmp_path)
    cfg.val_dataloader.dataset.pipeline.insert(2, dict(type='Resize', scale=(6, 4)))
    look = look_over(cfg)
    assert len(look.refusals) == 1
    assert 'to 6 x 4' in look.refusals[0] and '12 x 8' in look.refusals[0]
