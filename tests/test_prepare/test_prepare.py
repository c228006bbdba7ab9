"""Publishers' downloads become the folders that the configs read."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import raw_downloads as raw
from PIL import Image
from raw_downloads import COUNTS, cifar10, files

from bissl_mm.prepare import prepare
from bissl_mm.prepare.bccd import read_boxes
from bissl_mm.prepare.sources import open_source
from bissl_mm.prepare.task import Task, table
from bissl_mm.utils.errors import ValueRefusal


def origins(root: Path, split: str) -> dict:
    lines = (root / 'lists' / f'{split}.txt').read_text().splitlines()
    assert lines == sorted(lines)
    return dict(line.split('\t') for line in lines)


def test_cifar10_is_drawn_disjoint_and_by_class(tmp_path):
    batches = raw.cifar10_batches()
    archive = raw.packed(
        raw.cifar10_folder(tmp_path / 'raw', batches, False),
        tmp_path / 'cifar-10-python.tar.gz',
    )
    cifar10(archive, tmp_path / 'data')
    unlabeled = origins(tmp_path / 'data/cifar10_unlabeled', 'images')
    listed = {
        path: origin
        for part in ('train', 'val', 'test')
        for path, origin in origins(tmp_path / 'data/cifar10_labeled', part).items()
    }
    everything = [*unlabeled.values(), *listed.values()]
    assert len(everything) == len(set(everything)) == 50 + 10 * (3 + 2 + 1)

    def label(origin):
        batch, index = origin.split('/')
        return raw.CIFAR10[batches[batch][1][int(index)]]

    assert [
        sum(label(o) == name for o in unlabeled.values()) for name in raw.CIFAR10
    ] == [5] * 10
    for part, number in (('train', 3), ('val', 2), ('test', 1)):
        found = [p for p in listed if p.startswith(part + '/')]
        assert [
            sum(p.split('/')[1] == name for p in found) for name in raw.CIFAR10
        ] == [number] * 10
        assert all(
            listed[p].startswith('test_batch') == (part == 'test')
            and label(listed[p]) == p.split('/')[1]
            for p in found
        )
    # Names do not reveal the class: neighbours have different classes.
    in_order = [label(unlabeled[f'images/{i:05}.png']) for i in range(50)]
    assert sum(a != b for a, b in zip(in_order, in_order[1:])) > 25
    for folder, found in (
        ('cifar10_unlabeled', unlabeled),
        ('cifar10_labeled', listed),
    ):
        for path, origin in found.items():
            batch, index = origin.split('/')
            red_green_blue = batches[batch][0][int(index)].reshape(3, 32, 32)
            image = np.asarray(Image.open(tmp_path / 'data' / folder / path))
            assert (image == red_green_blue.transpose(1, 2, 0)).all()


def test_cifar10_is_the_same_from_both_archives_and_another_by_seed(tmp_path):
    batches = raw.cifar10_batches()
    python = raw.cifar10_folder(tmp_path / 'raw', batches, False)
    binary = raw.packed(
        raw.cifar10_folder(tmp_path / 'raw', batches, True),
        tmp_path / 'cifar-10-binary.tar.gz',
    )
    cifar10(python, tmp_path / 'python')
    cifar10(binary, tmp_path / 'binary')
    cifar10(python, tmp_path / 'seed', seed=1)
    assert files(tmp_path / 'python') == files(tmp_path / 'binary')
    first, other = (
        set(origins(tmp_path / name / 'cifar10_labeled', 'train').values())
        for name in ('python', 'seed')
    )
    assert first != other
    settings = json.loads((tmp_path / 'seed/cifar10_labeled/prepared.json').read_text())
    assert settings['seed'] == 1 and settings['counts'] == COUNTS


def test_draws_are_by_a_hash_that_stays():
    """The documented rule: ascending SHA-256 of 'seed/item'."""
    task = Task('any', Path(), 7, {}, {}, '', False)
    items = [f'data_batch_1/{i:05}' for i in range(20)]
    assert task.draw(items, 20, '') == sorted(
        items, key=lambda i: hashlib.sha256(f'7/{i}'.encode()).hexdigest()
    )
    with pytest.raises(ValueRefusal, match='21 cats .* the source has 20'):
        task.draw(items, 21, 'cats')


def test_five_classes_of_dtd_have_its_first_split(tmp_path):
    folder = raw.dtd_folder(tmp_path)
    archive = raw.packed(folder, tmp_path / 'dtd-r1.0.1.tar.gz')
    prepare('dtd5', str(archive), str(tmp_path / 'data'), allow_incomplete=True)
    root = tmp_path / 'data/dtd5'
    classes = [name for name in raw.DTD if name != 'blotchy']
    for part in ('train', 'val', 'test'):
        lines = (folder / f'labels/{part}1.txt').read_text().split()
        lines = [line for line in lines if line.split('/')[0] in classes]
        assert files(root / part) == {
            line: (folder / 'images' / line).read_bytes() for line in lines
        }
        assert origins(root, part) == {
            f'{part}/{line}': f'images/{line}' for line in lines
        }


def test_bccd_boxes_count_pixels_from_zero(tmp_path):
    folder = raw.bccd_folder(tmp_path)
    train, val, test = prepare(
        'bccd',
        str(tmp_path / 'BCCD_Dataset-master'),
        str(tmp_path / 'data'),
        allow_incomplete=True,
    )
    root = tmp_path / 'data' / 'bccd_voc'
    read = {
        part: json.loads((root / f'annotations_coco/instances_{part}.json').read_text())
        for part in ('train', 'val', 'test')
    }
    stems = {
        part: [Path(i['file_name']).stem for i in read[part]['images']] for part in read
    }
    assert stems == {
        part: (folder / f'ImageSets/Main/{part}.txt').read_text().split()
        for part in read
    }
    assert files(root / 'JPEGImages') == files(folder / 'JPEGImages')
    # The box without area is left out; the one beyond the image is cut at 64.
    first = [
        (a['category_id'], a['bbox'], a['area'])
        for a in read['train']['annotations']
        if a['image_id'] == 1
    ]
    assert first == [
        (1, [4, 6, 15, 23], 345),
        (2, [30, 0, 33, 39], 1287),
        (3, [50, 10, 14, 9], 126),
    ]
    assert train.remark == '3 RBC, 3 WBC, 1 Platelets; 1 without area'
    assert val.remark == '2 RBC, 2 WBC, 0 Platelets'
    assert [a['id'] for a in read['train']['annotations']] == list(range(1, 8))
    assert [c['name'] for c in read['test']['categories']] == [
        'RBC',
        'WBC',
        'Platelets',
    ]


def test_what_is_listed_and_not_there_is_left_out_and_said(tmp_path):
    cells, roads = raw.bccd_folder(tmp_path), raw.camvid_folder(tmp_path)
    (cells / 'JPEGImages/BloodImage_00001.jpg').unlink()
    (cells / 'Annotations/BloodImage_00004.xml').unlink()
    (roads / 'train/0001TP_train00001.png').unlink()
    (roads / 'testannot/testannot_00000.png').unlink()
    data = tmp_path / 'data'
    for name, folder, match in (
        ('bccd', cells, 'train: 205 .*, 2 found; val: 87 .*, 1 found'),
        ('camvid', roads, 'train: 367 .*, 3 found; .*test: .*, 2 found'),
    ):
        with pytest.raises(ValueRefusal, match=match):
            prepare(name, str(folder), str(data))
        splits = prepare(name, str(folder), str(data), allow_incomplete=True)
        said = {split.name: 'left out' in split.remark for split in splits}
        assert said == dict(train=True, val=name == 'bccd', test=name == 'camvid')
        assert table(splits).count('; 1 listed images left out') == 2
    read = json.loads(
        (data / 'bccd_voc/annotations_coco/instances_train.json').read_text()
    )
    assert [i['file_name'] for i in read['images']] == [
        'BloodImage_00000.jpg',
        'BloodImage_00002.jpg',
    ]
    assert {a['image_id'] for a in read['annotations']} == {
        i['id'] for i in read['images']
    }
    assert sorted(files(data / 'bccd_voc/JPEGImages')) == [
        f'BloodImage_{i:05}.jpg' for i in (0, 2, 3, 5, 6)
    ]
    for part, numbers in dict(train=(0, 2, 3), val=(0, 1), test=(1, 2)).items():
        stems = [f'0001TP_{part}{i:05}' for i in numbers]
        for kind in ('img_dir', 'ann_dir'):
            assert (
                sorted(Path(path).stem for path in files(data / 'camvid' / kind / part))
                == stems
            )


def test_corners_of_boxes_may_have_fractions(tmp_path):
    folder = raw.bccd_folder(tmp_path)
    path = folder / 'Annotations/BloodImage_00001.xml'
    whole = read_boxes(path, 64, 48)
    text = re.sub(r'(<[xy]m\w+>\d+)<', r'\1.75<', path.read_text())
    assert '.75' in text
    path.write_text(text)
    assert read_boxes(path, 64, 48) == whole
    path.write_text(text.replace('.75', 'e999'))
    with pytest.raises(ValueRefusal, match='not an annotation in VOC'):
        read_boxes(path, 64, 48)


def test_camvid_keeps_labels_and_ignores_void(tmp_path):
    folder = raw.camvid_folder(tmp_path)
    prepare('camvid', str(folder.parent), str(tmp_path / 'data'), allow_incomplete=True)
    root = tmp_path / 'data' / 'camvid'
    for part, number in dict(train=4, val=2, test=3).items():
        found = sorted((root / 'ann_dir' / part).iterdir())
        sources = sorted((folder / f'{part}annot').iterdir())
        assert len(found) == number
        for path, source in zip(found, sources, strict=True):
            before = np.asarray(Image.open(source)).astype(int)
            after = np.asarray(Image.open(path)).astype(int)
            assert (before == 11).any()
            assert (after == np.where(before == 11, 255, before)).all()
            image = np.asarray(
                Image.open(root / f'img_dir/{part}/{path.stem}.jpg')
            ).astype(int)
            original = np.asarray(Image.open(folder / part / path.name))
            assert abs(image - original).mean() < 3


def test_zip_archives_of_repositories(tmp_path):
    """As a repository's page offers them."""
    folder = raw.bccd_folder(tmp_path / 'raw')
    archive = shutil.make_archive(tmp_path / 'master', 'zip', tmp_path / 'raw')
    root = open_source(
        'bccd',
        Path(archive),
        (('Annotations', 'ImageSets/Main'),),
        tmp_path / 'scratch',
    )
    assert files(root) == files(folder)
