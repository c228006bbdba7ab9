"""Image files that cannot be read, are skipped, or have odd pixels."""

import cv2
import numpy as np
import pytest
from look_data import config, loader, look_at, noise, the_only, write_parts
from mmengine.registry import DATASETS
from mmengine.utils import digit_version
from PIL import Image

RNG = np.random.default_rng(5)


def only_train(root, kinds=('ant', 'bee'), number=2, **dataset):
    write_parts(root, ['train'], kinds, number)
    return config(root, ['train'], len(kinds), **dataset)


def damage(path, how):
    data = path.read_bytes()
    if how == 'gone':
        path.unlink()
        path.symlink_to('nowhere.png')
    else:
        path.write_bytes(
            dict(empty=b'', text=b'not an image', cut=data[: -len(data) // 8])[how]
        )


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize(
    'how, expected',
    [
        ('empty', 'is empty'),
        ('text', 'is not a readable image'),
        ('cut', 'is damaged or cut off'),
    ],
)
def test_damaged_file_is_named(how, expected, suffix, tmp_path):
    cfg = only_train(tmp_path)
    path = tmp_path / f'train/bee/5{suffix}'
    Image.fromarray(noise(RNG)).save(path)
    damage(path, how)
    if (how, suffix) == ('cut', '.jpg') and digit_version(
        cv2.__version__
    ) < digit_version('4.11'):
        pytest.skip('this OpenCV fills up a JPEG that is cut off, in silence')
    line = the_only(look_at(cfg).refusals)
    assert repr(str(path)) in line and expected in line


def test_a_library_that_is_missing_is_no_fault_of_the_data(tmp_path, monkeypatch):
    import mmpretrain.datasets

    def missing(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'ftfy'", name='ftfy')

    monkeypatch.setattr(mmpretrain.datasets.CustomDataset, '__init__', missing)
    line = the_only(look_at(only_train(tmp_path)).refusals)
    assert "No module named 'ftfy'). Install" in line
    assert 'Correct the files' not in line


def test_missing_file_of_a_list_of_pretext_images(tmp_path):
    cfg = only_train(tmp_path, with_label=False)
    cfg.train_cfg = dict(
        type='BiSSLTrainLoop', pretext_dataloader=cfg.pop('train_dataloader')
    )
    damage(tmp_path / 'train/ant/1.png', 'gone')
    # mmengine does not list a broken link, because it is not a file.
    look = look_at(cfg)
    assert not look.refusals and len(look.parts['pretext'].whole) == 3
    (tmp_path / 'train/bee/1.png').write_bytes(b'')
    assert 'is empty' in the_only(look_at(cfg).refusals)


@pytest.mark.parametrize(
    'suffixes, name',
    [(('.webp', '.tiff'), 'b.webp'), (('.jfif', '.WEBP'), 'b.JFIF'), (('',), 'b')],
)
def test_files_passed_over_are_counted_by_suffix(suffixes, name, tmp_path):
    cfg = only_train(tmp_path)
    for i, suffix in enumerate(suffixes):
        kind = {'.JFIF': 'JPEG', '': 'PNG'}.get(suffix.upper(), suffix[1:].upper())
        Image.fromarray(noise(RNG)).save(tmp_path / f'train/ant/x{i}{suffix}', kind)
    for hidden_or_text in ('._1.png', 'notes.txt', '.DS_Store'):
        (tmp_path / 'train/ant' / hidden_or_text).write_text('x')
    look = look_at(cfg)
    line = the_only(look.warnings)
    number = len(suffixes) + 1
    assert f'{number} of {number + 4} files in ' in line
    assert all(f'{s.lower() or "no suffix"} 1' in line for s in suffixes)
    assert '.txt 1' in the_only(look.parts['train'].left_out)
    if '' in suffixes:
        assert 'Convert or rename files without a suffix' in line
        return
    wanted = line.rsplit('extensions=[', 1)[1].rstrip('].').split(',')
    cfg.train_dataloader.dataset.extensions = wanted
    assert not look_at(cfg).warnings


@pytest.mark.mmcv_ops
@pytest.mark.parametrize('suffix', ['.jpg', '.PNG'])
def test_images_without_img_suffix_are_counted(suffix, tmp_path):
    pytest.importorskip('mmseg')
    write_parts(tmp_path, ['train'])
    for i, path in enumerate(sorted((tmp_path / 'train').rglob('1.png'))):
        if i:
            path.rename(path.with_suffix(suffix))
    (tmp_path / 'train/notes.txt').write_text('x')
    for path in (tmp_path / 'train').rglob('*.png'):
        mask = tmp_path / 'masks' / path.relative_to(tmp_path / 'train')
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(480).reshape(20, 24).astype(np.uint8) % 2).save(mask)
    cfg = config(tmp_path, ['train'])
    cfg.default_scope = 'mmseg'
    cfg.train_dataloader.dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        img_suffix='.png',
        data_prefix=dict(img_path='train', seg_map_path='masks'),
        metainfo=dict(classes=('a', 'b')),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    line = the_only([w for w in look_at(cfg).warnings if 'img_suffix' in w])
    assert '2 of 6 images in ' in line and f"'.png': {suffix} 2 (" in line


@pytest.mark.parametrize('suffix', ['.heic', '.npy'])
def test_folder_without_a_file_that_is_taken(suffix, tmp_path):
    cfg = only_train(tmp_path)
    for path in sorted((tmp_path / 'train').rglob('*.png')):
        path.rename(path.with_suffix(suffix))
    line = the_only(look_at(cfg).refusals)
    assert line.startswith('train_dataloader.dataset: none of the 4 files')
    assert f'There are {suffix} 4' in line


@pytest.mark.parametrize('all_of_them', [False, True])
def test_links_to_nowhere_are_counted(all_of_them, tmp_path):
    cfg = only_train(tmp_path)
    paths = sorted((tmp_path / 'train').rglob('*.png'))
    for path in paths if all_of_them else paths[:1]:
        path.unlink()
        path.symlink_to(tmp_path / 'gone.png')
    look = look_at(cfg)
    if all_of_them:
        assert 'links to files that do not exist' in the_only(look.refusals)
    else:
        assert not look.refusals
        assert '1 of 4 files' in the_only(look.warnings)
        assert repr(str(paths[0])) in look.warnings[0]


def test_image_beside_the_class_folders(tmp_path):
    cfg = only_train(tmp_path)
    Image.fromarray(noise(RNG)).save(tmp_path / 'train/lost.png')
    assert 'are beside the class folders' in the_only(look_at(cfg).warnings)


@pytest.mark.parametrize(
    'bits, backend, suffix, expected',
    [
        (12, 'cv2', '.png', 'with values 0 to 4095 (12 of 16 bits'),
        (10, 'cv2', '.tif', 'become 0 to 3'),
        (8, 'cv2', '.png', 'every image has only one colour'),
        (12, 'pillow', '.png', 'all values above 255 are cut off'),
        (16, 'cv2', '.png', None),
    ],
)
def test_values_of_more_than_8_bits(bits, backend, suffix, expected, tmp_path):
    cfg = only_train(
        tmp_path,
        number=0,
        pipeline=[dict(type='LoadImageFromFile', imdecode_backend=backend)],
    )
    for kind in ('ant', 'bee'):
        grey = RNG.integers(0, 2**bits, (20, 24)).astype(np.uint16)
        grey[0, :2] = 0, 2**bits - 1
        Image.fromarray(grey).save(tmp_path / f'train/{kind}/0{suffix}')
    look = look_at(cfg)
    if expected is None:
        assert not look.warnings and not look.refusals
    elif bits == 8:
        assert expected in the_only(look.refusals)
    else:
        assert expected in the_only(look.warnings)


def test_colours_of_12_bits_and_fractions(tmp_path):
    cv2 = pytest.importorskip('cv2')
    cfg = only_train(tmp_path, number=0)
    for kind in ('ant', 'bee'):
        cv2.imwrite(
            str(tmp_path / f'train/{kind}/0.png'), noise(RNG).astype(np.uint16) * 16
        )
    assert '(12 of 16 bits' in the_only(look_at(cfg).warnings)
    Image.fromarray(RNG.random((20, 24)).astype(np.float32)).save(
        tmp_path / 'train/ant/1.tif'
    )
    line = the_only(look_at(cfg).refusals)
    assert "of mode 'F'" in line and '8 bits per channel' in line


@pytest.mark.parametrize(
    'change, expected',
    [
        (lambda a: a * 0 + 7, "same value everywhere (first: '"),
        (lambda a: a % 3, 'almost black, with values 0 to 2 of 255'),
        (lambda a: np.dstack([a, a[..., :1]]), 'have transparent pixels'),
    ],
)
def test_odd_pixels_are_a_warning(change, expected, tmp_path):
    cfg = only_train(tmp_path, number=0)
    for kind in ('ant', 'bee'):
        Image.fromarray(change(noise(RNG))).save(tmp_path / f'train/{kind}/0.png')
    assert any(expected in line for line in look_at(cfg).warnings)


@pytest.mark.parametrize('mode', ['L', 'P', '1', 'CMYK', 'LA', 'RGBA'])
def test_modes_that_are_read_rightly_are_no_finding(mode, tmp_path):
    cfg = only_train(tmp_path)
    suffix = '.jpg' if mode == 'CMYK' else '.png'
    Image.fromarray(noise(RNG)).convert(mode).save(tmp_path / f'train/bee/7{suffix}')
    look = look_at(cfg)
    assert not look.warnings and not look.refusals
    assert f'{mode} 1' in look.parts['train'].facts['modes']


@pytest.mark.parametrize(
    'name, is_told',
    [
        ('0_mask.png', True),
        ('0.tif', True),
        ('0-Segmentation_1.png', True),
        # Of no image there, and of one in another folder.
        ('7_mask.png', False),
        ('../bee/5.png', False),
    ],
)
def test_masks_beside_their_images_are_named(name, is_told, tmp_path):
    cfg = only_train(tmp_path)
    Image.fromarray(noise(RNG)).save(tmp_path / 'train/ant/5.png')
    Image.fromarray(noise(RNG)).convert('L').save(tmp_path / 'train/ant' / name)
    lines = look_at(cfg).warnings
    if is_told:
        line = the_only(lines)
        assert 'train_dataloader.dataset: 1 of 6 images have one channel' in line
        assert f"ant/{name}' beside" in line and line.count('ant/0') == 2
    else:
        assert not lines


def test_values_of_ordinary_photographs_are_not_counted(tmp_path, monkeypatch):
    """It takes seconds for each, and only images of more bits need it."""
    cfg = only_train(tmp_path)

    def counted(*args, **kwargs):
        raise AssertionError('the values were counted')

    monkeypatch.setattr(np, 'unique', counted)
    look = look_at(cfg)
    assert not look.warnings and not look.refusals
    path = str(tmp_path / 'train/bee/7.png')
    cv2.imwrite(path, noise(RNG).astype(np.uint16) * 16)
    with pytest.raises(AssertionError, match='counted'):
        look_at(cfg)


def test_exif_matters_where_the_parts_load_it_differently(tmp_path):
    cfg = only_train(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(RNG)).save(tmp_path / 'train/bee/7.jpg', exif=exif)
    assert not look_at(cfg).warnings
    cfg.train_cfg = dict(
        type='BiSSLTrainLoop',
        pretext_dataloader=loader(
            tmp_path,
            'train',
            with_label=False,
            pipeline=[
                dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
            ],
        ),
    )
    look = look_at(cfg)
    assert 'as stored in train_cfg.pretext' in the_only(look.warnings)
    assert look.parts['train'].facts['with an EXIF rotation'] == 1


def test_image_that_a_transform_fails_on_is_named(tmp_path):
    cfg = only_train(
        tmp_path,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale_factor=0.1),
        ],
    )
    assert not look_at(cfg).refusals
    path = tmp_path / 'train/bee/thin.png'
    Image.fromarray(noise(RNG, 30, 2)).save(path)
    line = the_only(look_at(cfg).refusals)
    assert f'the pipeline fails on image {str(path)!r} (30 x 2 pixels)' in line


@pytest.mark.parametrize('size', [(10, 20), (24, 1)])
def test_images_smaller_than_the_crop_cannot_be_stacked(size, tmp_path):
    cfg = only_train(tmp_path)
    path = tmp_path / 'train/bee/7.png'
    Image.fromarray(noise(RNG, *size)).save(path)
    line = the_only(look_at(cfg).refusals)
    assert repr(str(path)) in line and 'default_collate stacks' in line
    cfg.train_dataloader.batch_size = 1
    assert not look_at(cfg).refusals


def test_pixels_are_those_of_a_seeded_sample_or_all(tmp_path):
    cfg = only_train(tmp_path, number=50)
    Image.fromarray(noise(RNG) * 0).save(tmp_path / 'train/ant/3.png')
    part = look_at(cfg).parts['train']
    assert len(part.sampled) == 64 and part.sampled == sorted(set(part.sampled))
    look = look_at(cfg, everything=True)
    assert '1 of 100 images whose pixels' in the_only(look.warnings)


def test_looking_changes_no_random_state(tmp_path):
    cfg = only_train(
        tmp_path,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='RandomCrop', crop_size=8)],
    )
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    look_at(cfg)
    assert np.random.rand() == expected


@DATASETS.register_module()
class Bare:
    """What torch asks of a data set, and nothing else."""

    def __init__(self, size=16):
        self.size = size

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return dict(inputs=np.zeros((3, self.size, self.size)))


def test_a_data_set_without_get_data_info_is_taken(tmp_path):
    cfg = config(tmp_path, ['train'])
    cfg.train_dataloader.dataset = dict(type='mmengine.Bare')
    assert not look_at(cfg).refusals
