"""Splits of dense data sets, drawn by the real classes on small folders."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from PIL import Image

import bissl_mm.datasets  # noqa: F401  (registers)

# The parts are of data sets of mmdet and mmseg.
pytestmark = pytest.mark.mmcv_ops

#: Pictures of each city, as unequal as those of Cityscapes.
CITIES = dict(aachen=10, bochum=7, ulm=5)


@pytest.fixture(scope='module')
def cityscapes(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('cityscapes')
    for city, number in CITIES.items():
        for kind in ('leftImg8bit', 'gtFine'):
            (root / kind / 'train' / city).mkdir(parents=True)
        for i in range(number):
            stem = f'train/{city}/{city}_000000_{i:06}'
            Image.new('RGB', (8, 4)).save(root / f'leftImg8bit/{stem}_leftImg8bit.png')
            Image.new('L', (8, 4), i).save(
                root / f'gtFine/{stem}_gtFine_labelTrainIds.png'
            )
    return root


def masks(root: Path, number: int) -> None:
    """VOC's palette masks: background and border, every image one class."""
    for kind in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / kind).mkdir(parents=True)
    names = []
    for i in range(number):
        # Class 1 in all, class 2 in every second, class 3 in every fourth.
        ids = np.zeros((6, 8), np.uint8)
        ids[0], ids[1] = 255, 1
        ids[2] = 2 if i % 2 else 0
        ids[3] = 3 if i % 4 == 3 else 0
        image = Image.fromarray(ids, 'P')
        image.putpalette(np.arange(768).astype(np.uint8).tobytes())
        names.append(f'2008_{i:06}')
        image.save(root / f'SegmentationClass/{names[-1]}.png')
        Image.new('RGB', (8, 6)).save(root / f'JPEGImages/{names[-1]}.jpg')
    for part, found in (('train', names[::2]), ('aug', names[1::2])):
        (root / f'ImageSets/Segmentation/{part}.txt').write_text(
            ''.join(f'{name}\n' for name in found)
        )


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('voc')
    masks(root, 80)
    return root


def cities(root: Path, **kwargs):
    return DATASETS.build(
        ConfigDict(
            type='bissl_mm.StratifiedPart',
            by='folder',
            share=0.8,
            dataset=dict(
                type='CityscapesDataset',
                _scope_='mmseg',
                data_root=str(root),
                data_prefix=dict(
                    img_path='leftImg8bit/train', seg_map_path='gtFine/train'
                ),
            ),
            **kwargs,
        )
    )


def voc_lists(root: Path, *lists: str) -> dict:
    return dict(
        type='ConcatDataset',
        _scope_='mmseg',
        datasets=[
            dict(
                type='PascalVOCDataset',
                data_root=str(root),
                ann_file=f'ImageSets/Segmentation/{name}.txt',
                data_prefix=dict(
                    img_path='JPEGImages', seg_map_path='SegmentationClass'
                ),
            )
            for name in lists
        ],
    )


def voc_part(root: Path, by='rarest_class', **kwargs):
    return DATASETS.build(
        ConfigDict(
            type='bissl_mm.StratifiedPart',
            by=by,
            share=0.8,
            dataset=voc_lists(root, 'train', 'aug'),
            **kwargs,
        )
    )


def images(part) -> list:
    return [part.get_data_info(i)['img_path'] for i in range(len(part))]


@pytest.mark.parametrize('make', ['cityscapes', 'voc'])
def test_part_and_complement_are_disjoint_and_complete(make, request):
    root = request.getfixturevalue(make)
    function = cities if make == 'cityscapes' else voc_part
    part, rest = function(root), function(root, complement=True)
    assert not set(images(part)) & set(images(rest))
    assert sorted(images(part) + images(rest)) == sorted(images(part.dataset))
    assert images(function(root)) == images(part)
    assert images(function(root, seed=1)) != images(part)


def test_a_fifth_of_every_city_is_set_aside(cityscapes):
    rest = cities(cityscapes, complement=True)
    assert Counter(Path(i).parent.name for i in images(rest)) == {
        city: round(0.2 * number) for city, number in CITIES.items()
    }


def test_the_split_does_not_depend_on_where_the_data_lie(cityscapes, tmp_path):
    elsewhere = tmp_path / 'a/b'
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(cityscapes)
    assert [Path(i).name for i in images(cities(elsewhere))] == [
        Path(i).name for i in images(cities(cityscapes))
    ]


def test_every_class_has_its_share_of_masks(voc):
    counts = Counter()
    rest = voc_part(voc, complement=True)
    for i in range(len(rest)):
        assert rest.get_cat_ids(i) == sorted(
            {0, 1}
            | set(
                np.unique(np.asarray(Image.open(rest.get_data_info(i)['seg_map_path'])))
            )
            - {255}
        )
        counts.update(rest.get_cat_ids(i))
    # A fifth of 80, of 40 and of 20 images.
    assert counts == {0: 16, 1: 16, 2: 8, 3: 4}


def test_every_class_has_its_share_of_boxes(tmp_path):
    from layout_parts import voc_xml

    for kind in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (tmp_path / kind).mkdir(parents=True)
    kinds = ('cow', 'dog', 'sheep')
    for i in range(30):
        voc_xml(
            tmp_path / f'Annotations/{i:06}.xml',
            2012,
            (8, 6),
            [('person', (1, 1, 5, 5)), (kinds[i % 3], (2, 2, 6, 5))],
        )
        Image.new('RGB', (8, 6)).save(tmp_path / f'JPEGImages/{i:06}.jpg')
    (tmp_path / 'ImageSets/Main/train.txt').write_text(
        ''.join(f'{i:06}\n' for i in range(30))
    )
    rest = DATASETS.build(
        dict(
            type='bissl_mm.StratifiedPart',
            by='rarest_class',
            share=0.8,
            complement=True,
            dataset=dict(
                type='VOCDataset',
                _scope_='mmdet',
                data_root=str(tmp_path),
                ann_file='ImageSets/Main/train.txt',
                data_prefix=dict(sub_data_root=''),
            ),
        )
    )
    classes = rest.metainfo['classes']
    found = Counter(
        classes[j] for i in range(len(rest)) for j in set(rest.get_cat_ids(i))
    )
    assert found == dict(person=6, cow=2, dog=2, sheep=2)


def test_images_of_other_lists_are_left_out_and_none_comes_twice(voc, tmp_path):
    # As VOC2007 lists an image which VOC2012 calls 2007_000004.
    (tmp_path / 'test.txt').write_text('000004\n000006\n')
    (tmp_path / 'val.txt').write_text('2008_000008\n')
    part = DATASETS.build(
        dict(
            type='bissl_mm.WithoutImages',
            ignore_prefix='2008_',
            lists=[str(tmp_path / 'test.txt'), str(tmp_path / 'val.txt')],
            dataset=voc_lists(voc, 'train', 'aug', 'train'),
        )
    )
    left = [int(Path(i).stem.split('_')[1]) for i in images(part)]
    assert sorted(left) == sorted(set(range(80)) - {4, 6, 8})


def test_no_image_left_is_named(voc):
    path = str(voc / 'ImageSets/Segmentation/train.txt')
    with pytest.raises(ValueError, match=f'all 40 images are in {path}'):
        DATASETS.build(
            dict(
                type='bissl_mm.WithoutImages',
                lists=[path],
                dataset=voc_lists(voc, 'train'),
            )
        )


def test_a_list_that_is_missing_is_named(voc):
    with pytest.raises(FileNotFoundError, match="the file 'no.txt' in lists does not"):
        DATASETS.build(
            dict(
                type='bissl_mm.WithoutImages',
                lists=['no.txt'],
                dataset=voc_lists(voc, 'train'),
            )
        )


def test_a_mask_that_cannot_be_read_is_named(tmp_path):
    masks(tmp_path, 10)
    broken = tmp_path / 'SegmentationClass/2008_000003.png'
    broken.write_bytes(b'no picture')
    with pytest.raises(ValueError, match=f"The mask '{broken}' cannot be"):
        voc_part(tmp_path)


def test_strata_that_the_data_do_not_have_are_refused(voc):
    with pytest.raises(ValueError, match="by='label' needs one gt_label"):
        voc_part(voc, by='label')
    with pytest.raises(ValueError, match="by is 'city', but must be one of"):
        voc_part(voc, by='city')
