"""Sets with masks as publishers lay them out, with lists of their parts, and the
categories of sets with boxes."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import dense_sets as written
import numpy as np
import pytest
from conftest import ROOT
from layout_parts import picture, write_lines
from look_data import write_parts
from PIL import Image

FOLDER = ROOT / 'benchmarks/evidence'
ALL = dict(a=6, b=3, c=3)
A, B, C = ([f'{part}{i}' for i in range(number)] for part, number in ALL.items())


@pytest.fixture(scope='module')
def packs():
    """The modules that know packs."""
    sys.path.insert(0, str(FOLDER))
    try:
        import dense_packs
        import kinds
        import mask_layout
        import packs
        import run

        modules = (dense_packs, kinds, mask_layout, packs, run)
        yield SimpleNamespace(**{m.__name__: m for m in modules})
    finally:
        sys.path.remove(str(FOLDER))


def one_folder(root: Path, images='images', labels='masks', **settings) -> Path:
    """Images of no part, named after A, B and C."""
    return written.masks(root, images, labels, ALL, **settings)


def found(packs, root: Path, **parts: list[str]) -> list[str]:
    """Check the images of each part; give the notes."""
    got, notes = packs.mask_layout.masks_and_notes(root)
    assert {p: sorted(sum(each.names.values(), [])) for p, each in got.items()} == {
        part: sorted(names) for part, names in parts.items()
    }
    assert packs.kinds.kind_of(root) == 'segmentation'
    for part in got.values():
        for suffix, names in part.names.items():
            for name in names:
                assert (part.images / (name + suffix)).is_file()
                assert (part.masks / (name + part.mask_suffix)).is_file()
    return notes


def refused(packs, root: Path, match: str, error: type = ValueError) -> None:
    with pytest.raises(error, match=match):
        packs.mask_layout.find_masks(root)


def test_trainval_is_for_training(packs, tmp_path):
    root = one_folder(tmp_path)
    write_lines(root / 'annotations/trainval.txt', A + B)
    write_lines(root / 'annotations/test.txt', C)
    assert found(packs, root, train=A + B, test=C) == []
    pack = packs.kinds.own_pack('own', str(root), None, 2)
    assert {p: part.number for p, part in pack.parts.items()} == dict(
        train=7, val=2, test=3
    )
    assert len(pack.notes) == 1 and 'no part val:' in pack.notes[0]
    # A list of all: what another list names is not trained on.
    write_lines(root / 'annotations/val.txt', B)
    (note,) = found(packs, root, train=A, val=B, test=C)
    assert 'trainval.txt: 3 of its 9 images are in val.txt and test.txt, too' in note


def test_what_no_list_names_is_for_training(packs, tmp_path):
    root = one_folder(tmp_path)
    write_lines(root / 'test.txt', C)
    (note,) = found(packs, root, train=A + B, test=C)
    assert 'test.txt are lists of parts' in note and '9 images' in note
    write_lines(root / 'val.txt', B)
    (note,) = found(packs, root, train=A, val=B, test=C)
    assert 'val.txt and test.txt are lists of parts' in note and '6 images' in note
    pack = packs.kinds.own_pack('own', str(root), None, 2)
    assert pack.notes == [note]
    write_lines(root / 'val.txt', A + B)
    refused(packs, root, 'val.txt and test.txt name all images')


@pytest.mark.parametrize('unknown', ['train', 'val', 'test'])
def test_a_list_that_does_not_fit_wholly_is_refused(packs, tmp_path, unknown):
    root = one_folder(tmp_path)
    for part, names in dict(train=A, val=B, test=C).items():
        write_lines(
            root / f'{part}.txt', names[:1] + ['zebra'] * (part == unknown) + names[1:]
        )
    number = dict(train=7).get(unknown, 4)
    refused(
        packs,
        root,
        f"{unknown}.txt: 1 of {number} lines name no image in .*images, 'zebra'",
    )


def test_lists_that_fit_nothing_are_refused_or_said(packs, tmp_path):
    root = one_folder(tmp_path)
    write_lines(root / 'val.txt', B)
    write_lines(root / 'test.txt', ['1', '2'])
    refused(packs, root, "test.txt: 2 of 2 lines name no image .*'1'.*take it out")
    (root / 'val.txt').rename(root / 'masks/val.txt')
    refused(packs, root, 'test.txt: 2 of 2 lines')
    (root / 'masks/val.txt').unlink()
    refused(packs, root, 'test.txt: 2 of 2 lines')
    (root / 'test.txt').rename(root / 'about_test.txt')
    (note,) = found(packs, root, train=A + B + C)
    assert "'about_test.txt' can be lists" in note
    # Names in part, under another name: they would be trained on.
    write_lines(root / 'test_list.txt', [*C, 'y0', 'y1', 'y2', 'y3'])
    refused(packs, root, "test_list.txt: 4 of 7 lines name no image .*'y0'")
    write_lines(root / 'val.txt', B)
    refused(packs, root, "test_list.txt: 4 of 7 lines name no image .*'y0'")
    for name in ('test_list', 'val'):
        (root / f'{name}.txt').unlink()
    # CelebA has such a file.
    write_lines(root / 'list_eval_partition.txt', [f'{n}.jpg 0' for n in A + B + C])
    notes = found(packs, root, train=A + B + C)
    assert notes[0].endswith(
        'list_eval_partition.txt name all images and are not used.'
    )
    (root / 'list_eval_partition.txt').unlink()
    # With a list of training, nothing else is trained on.
    write_lines(root / 'train.txt', A)
    write_lines(root / 'test.txt', ['1', '2'])
    notes = found(packs, root, train=A)
    assert 'test.txt: none of its 2 lines' in notes[0]
    assert '6 of 12 images' in notes[1]


LINES = {
    'bare': '{}',
    'suffix': '{}.jpg',
    'other_case': '{}.JPG',
    'folder': 'images/{}.jpg',
    'path': '/data/set/images/{}.jpg',
    'pair': 'images/{0}.jpg masks/{0}.png',
    'comma': '{0}.jpg,{0}.png',
    'mask': './masks/{}.png',
    'windows': 'images\\{}.jpg',
    'numbers': '{} 1 2 3',
}


@pytest.mark.parametrize('form', LINES)
def test_lines_name_images_in_several_ways(packs, tmp_path, form):
    root = one_folder(tmp_path)
    for part, names in dict(train=A, val=B, test=C).items():
        lines = [LINES[form].format(name) for name in names]
        write_lines(root / f'{part}.txt', ['# names', *lines, ''])
    assert found(packs, root, train=A, val=B, test=C) == []


@pytest.mark.parametrize('form', LINES)
def test_names_may_repeat_from_folder_to_folder(packs, tmp_path, form):
    root, parts = tmp_path, {}
    for part, clip in dict(train='x', val='y', test='z').items():
        written.masks(root, f'images/{clip}', f'masks/{clip}', dict(s=3))
        parts[part] = [f'{clip}/s{i}' for i in range(3)]
        lines = [LINES[form].format(name) for name in parts[part]]
        write_lines(root / f'{part}.txt', lines)
    assert found(packs, root, **parts) == []
    write_lines(root / 'train.txt', ['w/s0.jpg', *parts['train']])
    # Nor is it the image of this name that is in no folder.
    written.masks(root, 'images', 'masks', dict(s=1))
    refused(packs, root, "train.txt: 1 of 4 lines .*'w/s0.jpg'")


def test_names_with_spaces_and_a_header(packs, tmp_path):
    root = one_folder(tmp_path)
    for path in [*root.glob('*/*')]:
        path.rename(path.with_name(f'an image {path.name}'))
    parts = {
        part: [f'an image {name}' for name in names]
        for part, names in dict(train=A, test=C).items()
    }
    for part, names in parts.items():
        write_lines(
            root / f'{part}.csv', ['image,mask', *(f'{n}.jpg,1' for n in names)]
        )
    (note,) = found(packs, root, **parts)
    assert '3 of 12 images with a mask are in none of the lists' in note


def voc(root: Path, bare: int = 0) -> Path:
    """As VOC has it; 'd' names images that have no mask."""
    one_folder(root, 'JPEGImages', 'SegmentationClass')
    one_folder(root, 'JPEGImages', 'SegmentationObject')
    for i in range(bare):
        picture(np.random.default_rng(i), (36, 36)).save(root / f'JPEGImages/d{i}.jpg')
    for part, names in dict(train=A, val=B, trainval=A + B, test=C).items():
        write_lines(root / f'ImageSets/Segmentation/{part}.txt', names)
        boxes = [f'd{i}' for i in range(bare)] + names[1:]
        write_lines(root / f'ImageSets/Main/{part}.txt', boxes)
        write_lines(
            root / f'ImageSets/Main/cat_{part}.txt', [f'{name} -1' for name in boxes]
        )
    return root


@pytest.mark.parametrize('bare', [0, 2, 150])
def test_voc_as_distributed(packs, tmp_path, bare):
    root = voc(tmp_path, bare)
    notes = found(packs, root, train=A, val=B, test=C)
    assert packs.mask_layout.find_masks(root)['train'].masks.name == 'SegmentationClass'
    if bare:
        assert f'{bare} of {12 + bare} images have no mask' in notes.pop(0)
    assert notes == []


def test_voc_whose_test_part_has_no_masks(packs, tmp_path):
    root = voc(tmp_path)
    for path in root.glob('SegmentationClass/c*'):
        path.unlink()
    notes = found(packs, root, train=A, val=B)
    assert '3 of 12 images have no mask' in notes[0]
    assert 'test.txt: none of its 3 lines names an image with' in notes[1]
    # One image of the list has a mask, two have none.
    Image.new('L', (40, 30)).save(root / 'SegmentationClass/c0.png')
    refused(packs, root, "test.txt: 2 of 3 lines name an image that has no mask.*'c1'")


def test_several_sets_of_lists(packs, tmp_path):
    root = one_folder(tmp_path)
    for fold in 'xy':
        write_lines(root / f'{fold}/train.txt', A)
        write_lines(root / f'{fold}/test.txt', C)
        write_lines(root / f'{fold}/cat_train.txt', A[:2])
    (note,) = found(packs, root, train=A, test=C)
    assert '3 of 12' in note
    write_lines(root / 'y/test.txt', B)
    refused(packs, root, "'x/test.txt', 'y/test.txt' can each be .*Leave one")
    # Parts in folders of their own.
    for name in ('test', 'train', 'cat_train'):
        (root / f'y/{name}.txt').unlink()
    write_lines(root / 'y/val.txt', B)
    assert found(packs, root, train=A, val=B, test=C) == []


@pytest.mark.parametrize('beside', [False, True])
def test_masks_one_folder_deeper(packs, tmp_path, beside):
    root = one_folder(tmp_path, labels='annotations/trimaps')
    for name in A + B + C:
        for path in (f'annotations/trimaps/._{name}.png', f'images/._{name}.jpg'):
            (root / path).write_bytes(b'Mac OS X')
        write_lines(root / f'annotations/xmls/{name}.xml', ['<xml/>'])
    write_lines(root / 'annotations/list.txt', ['#Image ID', *A, *B, *C])
    write_lines(root / 'annotations/trainval.txt', [f'{n} 1 1 1' for n in A + B])
    write_lines(root / 'annotations/test.txt', [f'{n} 1 1 1' for n in C])
    if beside:
        (root / 'annotations/pictures_of_it').mkdir()
        Image.new('RGB', (9, 9)).save(root / 'annotations/legend.png')
    assert found(packs, root, train=A + B, test=C) == []
    masks = packs.mask_layout.find_masks(root)['train'].masks
    assert masks == root / 'annotations/trimaps'


@pytest.mark.parametrize('deeper', ['images/{}', '{}/images'])
def test_lists_beside_a_training_folder_alone(packs, tmp_path, deeper):
    root = one_folder(
        tmp_path,
        deeper.format('train'),
        deeper.replace('images', 'masks').format('train'),
    )
    write_lines(root / 'test.txt', C)
    (note,) = found(packs, root, train=A + B, test=C)
    assert 'none is of the training part' in note
    write_lines(root / 'train.txt', A)
    (note,) = found(packs, root, train=A, test=C)
    assert '3 of 12 images' in note


SEQUENCES = {'train/s1': 3, 'train/s2': 3, 'val/s3': 2}


def test_frames_of_sequences_are_not_those_of_others(packs, tmp_path):
    """Their names repeat, so that folders have to agree."""
    for folder, number in SEQUENCES.items():
        one_folder_of_frames(tmp_path / 'images' / folder, number, 'RGB')
        one_folder_of_frames(tmp_path / 'masks' / Path(folder).name, number, 'L')
    frames = [f's1/{i}' for i in range(3)] + [f's2/{i}' for i in range(3)]
    assert found(packs, tmp_path, train=frames, val=['s3/0', 's3/1']) == []
    # Without masks of its own, a sequence does not take those of another.
    (tmp_path / 'masks/s3').rename(tmp_path / 'masks/s4')
    refused(packs, tmp_path, 'has no masks with the names', FileNotFoundError)


def one_folder_of_frames(folder, number, mode):
    folder.mkdir(parents=True)
    for i in range(number):
        Image.new(mode, (9, 9)).save(folder / f'{i}.png')


def test_masks_of_objects_do_not_hide_those_of_classes(packs, tmp_path):
    root = one_folder(tmp_path)
    (root / 'instance_masks').mkdir()
    for i, name in enumerate(A + B + C):
        kind = ('car', 'cat', 'cow')[i % 3]
        Image.new('L', (9, 9)).save(root / f'instance_masks/{name}_{kind}.png')
    assert found(packs, root, train=A + B + C) == []
    assert packs.mask_layout.find_masks(root)['train'].masks == root / 'masks'


def test_folders_within_that_have_no_masks_are_said(packs, tmp_path):
    root = one_folder(tmp_path, images='images/first')
    one_folder_of_frames(root / 'images/second', 4, 'RGB')
    (note,) = found(packs, root, train=A + B + C)
    assert note.startswith(f'{root / "images"}: 4 pictures are not used, ')
    assert "'second/0.png' for example" in note


def test_images_one_folder_deeper(packs, tmp_path):
    root = one_folder(tmp_path, images='images/original')
    Image.new('RGB', (9, 9)).save(root / 'images/legend.png')
    found(packs, root, train=A + B + C)
    (root / 'images/legend.png').unlink()
    for path in root.glob('images/original/*'):
        path.rename(path.with_name(f'z{path.name}'))
    refused(
        packs,
        root,
        "masks has no masks .*images: .*'a0.png'.*'original/za0.jpg'",
        FileNotFoundError,
    )


@pytest.mark.parametrize(
    'suffix, mask_suffix',
    [
        ('.JPG', '.png'),
        ('.jpg', '_mask.png'),
        ('.png', '_L.png'),
        ('_leftImg8bit.png', '_gtFine_labelIds.png'),
    ],
)
@pytest.mark.parametrize('layout', [('{}', '{}annot'), ('images', 'masks')])
def test_suffixes_of_masks(packs, tmp_path, suffix, mask_suffix, layout):
    parts = written.PARTS
    root = written.masks(tmp_path, *layout, suffix=suffix, mask_suffix=mask_suffix)
    names = {p: [f'{p}{i}' for i in range(number)] for p, number in parts.items()}
    if layout == ('images', 'masks'):
        for part in parts:
            write_lines(root / f'{part}.txt', [n + suffix for n in names[part]])
    assert found(packs, root, **names) == []
    train = packs.mask_layout.find_masks(root)['train']
    assert (train.mask_suffix, [*train.names]) == (mask_suffix, [suffix])


def test_cityscapes_masks_of_other_kinds_are_passed_over(packs, tmp_path):
    layout = 'leftImg8bit/{}/aachen', 'gtFine/{}/aachen'
    kinds = ['color', 'instanceIds', 'labelIds', 'labelTrainIds', 'instanceTrainIds']
    for kind in kinds[:3]:
        root = written.masks(
            tmp_path,
            *layout,
            suffix='_leftImg8bit.png',
            mask_suffix=f'_gtFine_{kind}.png',
        )
    found_masks = packs.mask_layout.find_masks
    assert found_masks(root)['test'].mask_suffix == '_gtFine_labelIds.png'
    for kind in kinds[3:]:
        written.masks(
            tmp_path,
            *layout,
            suffix='_leftImg8bit.png',
            mask_suffix=f'_gtFine_{kind}.png',
        )
    assert found_masks(root)['test'].mask_suffix == '_gtFine_labelTrainIds.png'


def test_masks_that_end_differently_are_refused(packs, tmp_path):
    root = one_folder(tmp_path)
    for name in A:
        path = root / f'masks/{name}.png'
        path.rename(path.with_suffix('.bmp'))
    refused(packs, root, "'.bmp', '.png'. Let all end alike")
    # A few only: these images are left out.
    for name in A[1:]:
        path = root / f'masks/{name}.bmp'
        path.rename(path.with_suffix('.png'))
    (note,) = found(packs, root, train=A[1:] + B + C)
    assert '1 of 12 images have no mask in ' in note and "'a0.jpg'" in note


def test_a_number_does_not_end_within_a_name(packs, tmp_path):
    root = one_folder(tmp_path)
    for path in root.glob('masks/*'):
        path.rename(path.with_name(path.name.replace('.', '0.')))
    refused(packs, root, "'a00.png' for example, here 'a0.jpg'", FileNotFoundError)


def in_colours(path: Path, kind: str) -> None:
    mask = Image.open(path)
    if kind == 'palette':
        mask = mask.copy()
        mask.putpalette([200, 0, 0, 0, 200, 0] + [0] * 756 + [224, 224, 192])
        assert mask.mode == 'P'
    else:
        mask = Image.merge('RGB', [mask, mask.point(lambda v: v // 2), mask])
    mask.save(path)


@pytest.mark.parametrize(
    'ids, suffix, number, message',
    [
        ([0, 255], '.png', 2, r'ids 0 and 255 alone.*point\(lambda v: v // 255\)'),
        ([0, 255], '.png', None, 'Then type export BISSL_NUM_CLASSES=2'),
        ([0, 255], '.jpg', 2, r'JPEG files of black and white.*v // 128\)'),
        ([0, 1, 2, 255], '.png', None, 'ids 0 to 2, .* export BISSL_NUM_CLASSES=3, if'),
        ([0, 1, 2, 255], '.png', 2, r'=3\. If it is none, as in ADE20K, ignore it and'),
        ([1, 2, 255], '.png', 2, r'ids begin at 0\. Subtract 1 .*\(v - 1\) % 256\)'),
        ([0, 1, 255], '.png', 2, None),
        ([0, 3, 255], '.png', 2, None),
    ],
)
def test_ids_say_what_to_type(packs, tmp_path, ids, suffix, number, message):
    root = written.masks(tmp_path / 'set', mask_suffix=suffix)
    values = np.repeat(np.array(ids, np.uint8), 160 // len(ids) + 1)[:160]
    for path in (root / 'ann_dir').rglob(f'*{suffix}'):
        Image.fromarray(np.repeat(values[None], 16, 0)).save(path)
    pack = packs.kinds.own_pack('own', str(root), 'segmentation', number)
    if message is None:
        # The look over the data has a word on what is not plain.
        pack.check()
        return
    with pytest.raises(ValueError, match=f'{root}: the masks .*{message}'):
        pack.check()


@pytest.mark.whole
@pytest.mark.parametrize('kind', ['palette', 'colours'])
def test_masks_in_colours(packs, tmp_path, monkeypatch, capsys, kind):
    root = written.masks(tmp_path / 'data', suffix='.JPG')
    for path in root.glob('ann_dir/*/*'):
        in_colours(path, kind)
    write_parts(tmp_path, ['images'], number=43)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '2')
    pack = packs.run.read_pack(None)
    if kind == 'palette':
        packs.run.look(pack, tmp_path / 'lists')
        assert 'train   6 samples' in capsys.readouterr().out
        return
    with pytest.raises(ValueError, match='Colours are not ids. Write one channel'):
        packs.run.look(pack, tmp_path / 'lists')


def test_masks_in_colours_beside_masks_are_passed_over(packs, tmp_path):
    root = one_folder(tmp_path)
    one_folder(root, labels='labels/rgb_masks')
    for path in root.glob('labels/*/*'):
        in_colours(path, 'colours')
    found(packs, root, train=A + B + C)
    assert packs.mask_layout.find_masks(root)['train'].masks == root / 'masks'


def boxes(root: Path, **settings) -> Path:
    """Boxes of 'round' (3) and 'long' (7)."""
    return written.coco(
        root,
        {part: f'{part}.json' for part in written.PARTS},
        {part: part for part in written.PARTS},
        **settings,
    )


def change(path: Path, change_it) -> None:
    data = json.loads(path.read_text())
    change_it(data)
    path.write_text(json.dumps(data))


def files(packs, root: Path, number: int = 2) -> tuple[dict[str, dict], list[str]]:
    """What is written for each part, and the notes."""
    pack = packs.kinds.own_pack('own', str(root), None, number)
    cfg = packs.packs.read(packs.packs.FINE_TUNE, pack.task)
    pack.put(cfg, 0, root.with_name('lists'))
    read = {
        part: json.loads(
            Path(cfg[f'{part}_dataloader'].dataset.dataset.ann_file).read_text()
        )
        for part in written.PARTS
    }
    for data in read.values():
        named = [(each['id'], each['name']) for each in data['categories']]
        assert named == [(3, 'round'), (7, 'long')]
    return read, pack.notes


def numbers(data: dict) -> list[int]:
    return [each['category_id'] for each in data['annotations']]


def test_boxes_of_an_unlisted_category_are_said(packs, tmp_path):
    root = boxes(tmp_path / 'data')

    def add(data):
        data['categories'].insert(0, dict(id=9, name='flat'))
        for each in data['annotations'][:2]:
            each['category_id'] = 9

    change(root / 'val.json', add)
    read, notes = files(packs, root)
    assert numbers(read['val']) == [3, 7, 3, 7]
    (note,) = notes
    assert (
        "val.json has 2 boxes of categories that train.json does not list: 'flat'"
        in (note)
    )


def test_parts_may_list_some_categories_in_any_order(packs, tmp_path):
    root = boxes(tmp_path / 'data')

    def fewer(data):
        data['categories'] = data['categories'][1:]
        data['annotations'] = data['annotations'][1::2]

    change(root / 'val.json', fewer)
    change(root / 'test.json', lambda data: data['categories'].reverse())
    read, notes = files(packs, root)
    assert numbers(read['val']) == [7] * 3 and numbers(read['test']) == [3, 7] * 3
    assert notes == []


def test_categories_of_other_ids_are_matched_by_name(packs, tmp_path):
    root = boxes(tmp_path / 'data', unused='round')

    def swap(data):
        for each in data['categories']:
            each['id'] = {0: 0, 3: 7, 7: 1}[each['id']]
        for each in data['annotations']:
            each['category_id'] = {3: 7, 7: 1}[each['category_id']]

    change(root / 'val.json', swap)
    read, (note,) = files(packs, root)
    assert numbers(read['val']) == [3, 7] * 3
    assert 'val.json numbers categories otherwise than train.json (7 is 3, 1 is 7' in (
        note
    )
    change(root / 'test.json', lambda data: data['categories'][1].update(name='flat'))
    with pytest.raises(
        ValueError, match="test.json: the category 3 is 'flat', .* it is 'round'"
    ):
        files(packs, root)


def test_images_of_other_parts_are_not_trained_on(packs, tmp_path):
    root = boxes(tmp_path / 'data')
    (root / 'train.json').rename(root / 'trainval.json')

    def add(data):
        val = json.loads((root / 'val.json').read_text())
        images = [
            dict(each, id=50 + each['id'], file_name=f'val/{each["file_name"]}')
            for each in val['images']
        ]
        data['annotations'] += [
            dict(each, id=900 + each['id'], image_id=50 + each['image_id'])
            for each in val['annotations']
        ]
        for each in data['images']:
            each['file_name'] = f'train/{each["file_name"]}'
        data['images'] += images

    change(root / 'trainval.json', add)
    read, (note,) = files(packs, root)
    assert len(read['train']['images']) == 6
    # Nor are their boxes.
    ids = {each['id'] for each in read['train']['images']}
    assert ids == {each['image_id'] for each in read['train']['annotations']}
    assert "trainval.json: 3 of 9 images are in 'val.json', 'test.json', too" in note
    (root / 'val.json').write_text((root / 'trainval.json').read_text())
    with pytest.raises(ValueError, match='trainval.json: all 9 images are in'):
        files(packs, root)
