"""VOC, SBD and Cityscapes from their publishers' downloads."""

import shutil
import tarfile

import numpy as np
import published_layouts
import pytest
from PIL import Image
from raw_downloads import files
from raw_labeled import struct
from scipy.io import savemat

from bissl_mm.prepare import prepare
from bissl_mm.utils.errors import ValueRefusal


@pytest.fixture
def devkit(tmp_path):
    """VOCdevkit as published, and SBD's masks by image."""
    root = tmp_path / 'layout/VOCdevkit'
    root.mkdir(parents=True)
    published_layouts.voc(root, np.random.default_rng(0))
    folder = root / 'VOC2012'
    masks = {
        path.stem: np.array(Image.open(path))
        for path in (folder / 'SegmentationClassAug').iterdir()
    }
    shutil.rmtree(folder / 'SegmentationClassAug')
    for part in ('aug', 'trainaug'):
        (folder / f'ImageSets/Segmentation/{part}.txt').unlink()
    return root, masks


def with_sbd(root, masks):
    """Beside VOCdevkit; its lists have VOC's validation images, too."""
    folder = root.parent / 'benchmark_RELEASE/dataset'
    (folder / 'cls').mkdir(parents=True)
    for stem, mask in masks.items():
        content = struct(Boundaries=[0], Segmentation=[mask])
        savemat(folder / f'cls/{stem}.mat', dict(GTcls=content))
    for part in ('train', 'val'):
        shutil.copy(root / f'VOC2012/ImageSets/Main/{part}.txt', folder)
    return root.parent


def test_voc_stays_as_it_is_and_gets_the_masks_of_sbd(devkit, tmp_path):
    root, masks = devkit
    before = files(root)
    source = with_sbd(root, masks)
    prepare('voc-sbd', source, tmp_path / 'data', allow_incomplete=True)
    found = files(tmp_path / 'data/VOCdevkit')
    for path, content in before.items():
        assert found.pop(path) == content
    lists = 'VOC2012/ImageSets'
    listed = {
        (kind, part): before[f'{lists}/{kind}/{part}.txt'].decode().split()
        for kind in ('Main', 'Segmentation')
        for part in ('train', 'val')
    }
    every = {*listed['Main', 'train'], *listed['Main', 'val']}
    train = listed['Segmentation', 'train']
    aug = sorted(every - {*train, *listed['Segmentation', 'val']})
    assert aug and len(aug) < len(every)
    for part, stems in (('aug', aug), ('trainaug', sorted({*train, *aug}))):
        lines = found.pop(f'{lists}/Segmentation/{part}.txt').decode()
        assert lines.split() == stems
    for stem in aug:
        path = f'VOC2012/SegmentationClassAug/{stem}.png'
        found.pop(path)
        mask = np.array(Image.open(tmp_path / 'data/VOCdevkit' / path))
        assert (mask == masks[stem]).all()
    own = {'prepared.json', 'lists/2007.txt', 'lists/2012.txt'}
    assert set(found) == own


def test_voc_comes_from_three_archives(devkit, tmp_path):
    root, _ = devkit
    before = files(root)
    downloads = tmp_path / 'downloads'
    downloads.mkdir()
    for name, part in (
        ('VOCtrainval_06-Nov-2007', 'VOC2007'),
        ('VOCtest_06-Nov-2007', 'VOC2007/ImageSets'),
        ('VOCtrainval_11-May-2012', 'VOC2012'),
    ):
        with tarfile.open(downloads / f'{name}.tar', 'w') as file:
            file.add(root / part, f'VOCdevkit/{part}')
    prepare('voc', downloads, tmp_path / 'data', allow_incomplete=True)
    found = files(tmp_path / 'data/VOCdevkit')
    assert {path: found.get(path) for path in before} == before
    with pytest.raises(ValueRefusal, match='2012 masks: 2913 expected, 15 found'):
        prepare('voc', downloads, tmp_path / 'other')


def test_masks_of_sbd_that_are_none_are_refused(devkit, tmp_path):
    root, masks = devkit
    stem = sorted(masks)[1]
    for mask, words in (
        (masks[stem] + 20, 'largest value'),
        (masks[stem][None].repeat(2, 0), 'shape'),
    ):
        source = with_sbd(root, {**masks, **dict.fromkeys(masks, mask)})
        with pytest.raises(ValueRefusal, match=words):
            prepare('voc-sbd', source, tmp_path / 'data', allow_incomplete=True)
        shutil.rmtree(source / 'benchmark_RELEASE')


def test_cityscapes_gets_the_classes_that_are_evaluated(tmp_path):
    layout = tmp_path / 'layout'
    layout.mkdir()
    published_layouts.cityscapes(layout, np.random.default_rng(0))
    before = files(layout)
    expected = {path for path in before if not path.endswith('_labelIds.png')}
    masks = {
        path: np.array(Image.open(layout / path))
        for path in expected
        if path.endswith('_labelTrainIds.png')
    }
    downloads = tmp_path / 'downloads'
    for path in masks:
        (layout / path).unlink()
    for name in ('leftImg8bit', 'gtFine'):
        (tmp_path / name).mkdir()
        shutil.move(layout / name, tmp_path / name)
        archive = downloads / f'{name}_trainvaltest'
        shutil.make_archive(str(archive), 'zip', tmp_path / name)
    prepare('cityscapes', downloads, tmp_path / 'data', allow_incomplete=True)
    folder = tmp_path / 'data/cityscapes'
    found = {p for p in files(folder) if p.endswith('.png')}
    assert found == expected
    for path in found:
        if path in masks:
            assert (np.array(Image.open(folder / path)) == masks[path]).all()
        else:
            assert (folder / path).read_bytes() == before[path]
    with pytest.raises(ValueRefusal, match='train: 2975 expected, 10 found'):
        prepare('cityscapes', downloads, tmp_path / 'other')
