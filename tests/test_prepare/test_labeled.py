"""Publishers' labeled sets become lists, split by the paper's rules."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import raw_labeled
from PIL import Image
from raw_downloads import files

from bissl_mm.prepare import prepare
from bissl_mm.prepare.released import has_released, released_parts
from bissl_mm.utils.errors import ValueRefusal

#: Arguments for few classes, so that the tests are quick.
FEW = {
    'food': dict(classes=3, train=9, test=2),
    'cifar10-full': dict(per_batch=20),
    'cifar100': dict(classes=4, train=9, test=2),
    'cub200': dict(classes=3, train=9, test=2),
    'sun397': dict(classes=5, train=9, test=2),
    'cars': dict(classes=4, train=9, test=2),
    'aircrafts': dict(classes=4, each=2),
    'dtd': dict(classes=3, each=2),
    'pets': dict(classes=4, train=9, test=2),
    'caltech101': dict(classes=4, each=12),
    'flowers': dict(classes=102, each=1),
    'fashion_mnist': dict(),
    'stl10': dict(),
}


def made(name: str, root: Path, **changes) -> raw_labeled.Raw:
    return raw_labeled.SETS[name](root, **{**FEW[name], **changes})


def prepared(name: str, raw: raw_labeled.Raw, data: Path, **changes) -> Path:
    given = dict(counts=raw.counts or None, allow_incomplete=True, **changes)
    prepare(name, raw.source, data, **given)
    return data / raw_labeled.FOLDERS.get(name, name)


def lists(folder: Path) -> dict[str, dict[str, int]]:
    """Part -> path -> label."""
    found = {}
    for part in ('train', 'val', 'test'):
        lines = (folder / f'meta/{part}.txt').read_text().splitlines()
        pairs = [line.rsplit(' ', 1) for line in lines]
        found[part] = {path: int(label) for path, label in pairs}
        assert len(found[part]) == len(pairs)
    return found


@pytest.mark.parametrize('name', raw_labeled.SETS)
def test_lists_have_every_image_once_with_its_class(name, tmp_path):
    raw = made(name, tmp_path / 'raw')
    folder = prepared(name, raw, tmp_path / 'data')
    found = lists(folder)
    assert (folder / 'meta/classes.txt').read_text().splitlines() == raw.classes
    every = [path for part in found.values() for path in part]
    assert len(every) == len(set(every))
    assert {path: label for part in found.values() for path, label in part.items()} == (
        raw.labels
    )
    for path in every:
        assert (folder / path).is_file()
        if raw.files:
            assert (folder / path).read_bytes() == raw.files[path]
    # The publisher's parts stay; only a training part is divided.
    if 'images' not in raw.parts:
        assert list(found['test']) == raw.parts['test']
        if 'val' in raw.parts:
            assert list(found['train']) == raw.parts['train']
            assert list(found['val']) == raw.parts['val']
        else:
            training = {*found['train'], *found['val']}
            assert training == set(raw.parts['train'])


@pytest.mark.parametrize('name', raw_labeled.SETS)
def test_a_fifth_of_each_class_is_drawn_with_the_seed(name, tmp_path):
    """B.1; Caltech-101 has a number of each class for training first."""
    raw = made(name, tmp_path / 'raw')
    if 'val' in raw.parts:
        pytest.skip('the publisher has a validation part')
    first, again, other = (
        prepared(name, raw, tmp_path / folder, seed=seed)
        for folder, seed in (('a', 3), ('b', 3), ('c', 4))
    )
    found = lists(first)
    assert lists(again) == found
    assert {*lists(other)['val']} != {*found['val']}
    training = len(found['train']) + len(found['val'])
    assert abs(len(found['val']) - training / 5) <= 0.5
    val = Counter(found['val'].values())
    for label, number in Counter([*found['train'].values(), *val.elements()]).items():
        assert abs(val[label] - number / 5) < 1
        if name == 'caltech101':
            assert number == raw.counts['train_per_class']
    assert json.loads((first / 'prepared.json').read_text())['seed'] == 3


@pytest.mark.parametrize('name', raw_labeled.SETS)
def test_incomplete_sources_are_refused_with_counts(name, tmp_path):
    raw = made(name, tmp_path / 'raw')
    with pytest.raises(ValueRefusal, match=r'expected, \d+ found.*Download it again'):
        prepare(name, raw.source, tmp_path / 'data', counts=raw.counts or None)
    assert not list((tmp_path / 'data').iterdir())


@pytest.mark.parametrize('form', ['python', 'binary'])
def test_cifar100_has_its_pixels_in_both_forms(form, tmp_path):
    raw = made('cifar100', tmp_path / 'raw', binary=form == 'binary')
    folder = prepared('cifar100', raw, tmp_path / 'data')
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (36, 3072)).astype(np.uint8)
    for path in raw.parts['train']:
        planes = data[int(Path(path).stem)].reshape(3, 32, 32)
        assert (
            np.asarray(Image.open(folder / path)) == planes.transpose(1, 2, 0)
        ).all()
    assert {
        path: label for p in lists(folder).values() for path, label in p.items()
    } == (raw.labels)


def test_grey_images_have_their_pixels(tmp_path):
    raw = made('fashion_mnist', tmp_path / 'raw')
    folder = prepared('fashion_mnist', raw, tmp_path / 'data')
    assert (np.asarray(Image.open(folder / 'images/train/00013.png')) == 13).all()


def test_images_that_are_listed_and_not_there_are_left_out(tmp_path):
    raw = made('food', tmp_path / 'raw')
    gone = raw.parts['test'][0]
    (raw.source / gone).unlink()
    splits = prepare('food', raw.source, tmp_path / 'data', allow_incomplete=True)
    assert {split.name: split.remark for split in splits} == dict(
        train='3 classes',
        val='3 classes',
        test='3 classes; 1 listed images left out, file or labels missing',
    )
    assert gone not in lists(tmp_path / 'data/food')['test']


@pytest.mark.parametrize(
    'name, positions',
    [
        ('food', dict(train=60600, val=15150)),
        # The authors' list ends at 40,000 of 50,000 images.
        ('cifar10-full', dict(train=32000, val=8000)),
        ('cifar100', dict(train=40000, val=10000)),
        ('cub200', dict(train=4800, val=1194)),
        ('sun397', dict(train=15880, val=3970)),
        ('cars', dict(train=6598, val=1546)),
        ('pets', dict(train=2946, val=734)),
        ('caltech101', dict(train=2424, val=606, test=5647)),
    ],
)
def test_released_lists_are_the_authors(name, positions):
    found = released_parts(name)
    assert {part: len(numbers) for part, numbers in found.items()} == positions
    every = sorted(i for numbers in found.values() for i in numbers)
    assert every == list(range(len(every)))
    # Their first ranges, as published.
    first = {'food': [2, 5, 15], 'caltech101': [99, 217, 248], 'pets': [1, 4, 11]}
    assert found['val'][:3] == first.get(name, found['val'][:3])


def test_released_lists_count_in_the_publishers_order(tmp_path):
    """Pets with all training images, which are links to one."""
    folder = tmp_path / 'raw'
    (folder / 'images').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    (folder / 'images/one.jpg').write_bytes(raw_labeled.pool()[0])
    lines = {}
    for part, number in (('trainval', 3680), ('test', 3)):
        stems = [f'breed_{i % 37}_{part}{i}' for i in range(number)]
        lines[part] = [f'{stem} {i % 37 + 1} 1 1' for i, stem in enumerate(stems)]
        (folder / f'annotations/{part}.txt').write_text('\n'.join(lines[part]))
        for stem in stems:
            (folder / f'images/{stem}.jpg').hardlink_to(folder / 'images/one.jpg')
    prepare('pets', folder, tmp_path / 'data', allow_incomplete=True, split='released')
    found = lists(tmp_path / 'data/pets')
    stems = [f'images/{line.split()[0]}.jpg' for line in lines['trainval']]
    for part, positions in released_parts('pets').items():
        assert list(found[part]) == [stems[i] for i in positions]
    settings = json.loads((tmp_path / 'data/pets/prepared.json').read_text())
    assert settings['split'] == 'released' and 'seed' not in settings


def test_released_lists_need_the_whole_source(tmp_path):
    raw = made('food', tmp_path / 'raw')
    with pytest.raises(ValueRefusal, match='count 75750 images, but .* has 27'):
        prepared('food', raw, tmp_path / 'data', split='released')
    for name in raw_labeled.SETS:
        if not has_released(name):
            with pytest.raises(ValueRefusal, match='released no list for .*food'):
                prepare(name, tmp_path, tmp_path / 'data', split='released')
    with pytest.raises(ValueRefusal, match='--split authors is unknown'):
        prepare('food', tmp_path, tmp_path / 'data', split='authors')
    with pytest.raises(ValueRefusal, match="'flower' is unknown.*mean 'flowers'"):
        prepare('flower', tmp_path, tmp_path / 'data')


def test_classes_of_voc_are_those_of_its_objects(tmp_path):
    raw = raw_labeled.voc07(tmp_path / 'raw')
    prepare('voc07', raw.source, tmp_path / 'data', allow_incomplete=True)
    folder = tmp_path / 'data/voc07'
    for part, paths in raw.parts.items():
        read = json.loads((folder / f'meta/{part}.json').read_text())
        assert read['metainfo']['classes'] == raw_labeled.VOC
        assert [entry['img_path'] for entry in read['data_list']] == paths
        for entry in read['data_list']:
            found = [entry['gt_label'], entry['gt_label_difficult']]
            assert found == raw.labels[entry['img_path']]
            content = (folder / entry['img_path']).read_bytes()
            assert content == raw.files[entry['img_path']]
    # Both archives are needed, and a whole one.
    (raw.source / 'VOCtest_06-Nov-2007.tar').unlink()
    with pytest.raises(ValueRefusal, match='test: 4952 expected, 0 found'):
        prepare('voc07', raw.source, tmp_path / 'other', allow_incomplete=True)


def test_lists_of_imagenet_name_its_files(tmp_path):
    raw = raw_labeled.imagenet(tmp_path / 'raw', classes=3, train=10, test=2)
    (raw.source / 'train' / raw.classes[0] / '.DS_Store').write_bytes(b'')
    prepare('imagenet', raw.source, tmp_path / 'data', allow_incomplete=True)
    for share, each in (('1p', 1), ('10p', 3), ('100p', 10)):
        found = lists(tmp_path / f'data/imagenet_{share}')
        training = {**found['train'], **found['val']}
        assert len(training) == 3 * each
        assert len(found['val']) == round(3 * each / 5)
        assert training == {path: raw.labels[path] for path in training}
        assert list(found['test']) == sorted(raw.parts['test'])
    (raw.source / '1percent.txt').unlink()
    with pytest.raises(ValueRefusal, match='1p: 12811 expected, 0 found'):
        prepare('imagenet', raw.source, tmp_path / 'other', allow_incomplete=True)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    'name, harm, words',
    [
        (
            'food',
            lambda r: (r / 'meta/train.json').write_text('{'),
            'train.json.*damag',
        ),
        ('food', lambda r: (r / 'meta/train.json').write_text('[]'), 'list of images'),
        (
            'food',
            lambda r: edit(r / 'meta/classes.txt', 'dish_002', 'other'),
            "'dish_002', which is none of the 3 classes",
        ),
        (
            'cub200',
            lambda r: edit(r / 'image_class_labels.txt', '\n5 1', '\n5 one'),
            "'one' in the place of a number",
        ),
        (
            'cub200',
            lambda r: edit(r / 'images.txt', '\n5 001', '\n5001'),
            'should have 2 fields a line',
        ),
        (
            'cub200',
            lambda r: edit(r / 'image_class_labels.txt', '\n5 1', '\n5 9'),
            'has class 9, but there are 3',
        ),
        ('cars', lambda r: (r / 'cars_test.tgz').unlink(), 'has all of the downloads'),
        (
            'cars',
            lambda r: (r / 'cars_test_annos_withlabels.mat').write_bytes(b'MATLAB 5.0'),
            'is not a MATLAB file with annotations',
        ),
        (
            'cars',
            lambda r: (r / 'cars_test_annos_withlabels.mat').unlink(),
            'test: 8041 expected, 0 found',
        ),
        (
            'flowers',
            lambda r: shutil.copy(r / 'setid.mat', r / 'imagelabels.mat'),
            'not a MATLAB file with labels',
        ),
        (
            'flowers',
            lambda r: raw_labeled.savemat(
                r / 'imagelabels.mat', dict(labels=np.ones((1, 5)))
            ),
            'but .*imagelabels.mat. has 5 labels',
        ),
        (
            'fashion_mnist',
            lambda r: (r / 't10k-images-idx3-ubyte.gz').write_bytes(b'no archive'),
            't10k-images.*damaged or cut off',
        ),
        (
            'fashion_mnist',
            lambda r: shutil.copy(
                r / 'train-labels-idx1-ubyte.gz', r / 'train-images-idx3-ubyte.gz'
            ),
            'not a file of 3 dimensions',
        ),
        (
            'aircrafts',
            lambda r: (r / 'fgvc-aircraft-2013b/data/variants.txt').write_bytes(
                b'\xff'
            ),
            'is not a text',
        ),
        (
            'dtd',
            lambda r: edit(
                r / 'labels/train1.txt', 'texture00/texture00', '../../texture00'
            ),
            'written outside of its folder',
        ),
    ],
)
def test_damaged_sources_are_named(name, harm, words, tmp_path):
    raw = made(name, tmp_path / 'raw')
    if name == 'dtd':
        (tmp_path / 'raw/texture00_tr0000.jpg').write_bytes(b'')
    harm(raw.source)
    with pytest.raises(ValueRefusal, match=words):
        prepared(name, raw, tmp_path / 'data')
    assert not files(tmp_path / 'data')
