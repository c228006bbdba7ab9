"""Sets of every kind in publishers' layouts; accuracies are not tested."""

import copy
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import dense_sets as written
import numpy as np
import pytest
from conftest import ROOT
from look_data import KINDS, write_parts
from mmengine.registry import DATASETS
from PIL import Image

from bissl_mm.datasets.look import look_over

FOLDER = ROOT / 'benchmarks/evidence'
COCO = {
    'coco': ('annotations/instances_{}2017.json', '{}2017'),
    'one_folder': ('annotations_coco/{}.json', 'JPEGImages'),
    'images': ('annotations/{}.json', 'images/{}'),
    'roboflow': ('{}/_annotations.coco.json', '{}'),
    'folders': ('{}/labels.json', '{}/images'),
    'beside': ('{}.json', 'images'),
}
MASKS = {
    'mmseg': ('img_dir/{}', 'ann_dir/{}'),
    'labels': ('images/{}', 'labels/{}'),
    'ade20k': ('images/{}', 'annotations/{}'),
    'within': ('{}/images', '{}/masks'),
    'camvid': ('{}', '{}annot'),
}
NAMES = (
    dict(train='train', val='val', test='test'),
    dict(train='training', val='validation', test='testing'),
)


@pytest.fixture(scope='module')
def packs():
    """The modules that know packs."""
    sys.path.insert(0, str(FOLDER))
    try:
        import campaign
        import coco_layout
        import dense_packs
        import kinds
        import mask_layout
        import packs
        import run
        import runs
        import study_tasks

        yield SimpleNamespace(
            **{
                m.__name__: m
                for m in (
                    campaign,
                    coco_layout,
                    dense_packs,
                    kinds,
                    mask_layout,
                    packs,
                    run,
                    runs,
                    study_tasks,
                )
            }
        )
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope='module')
def tuned(packs):
    """The config of fine-tuning a classifier."""
    return packs.packs.read(packs.packs.FINE_TUNE)


def coco(root: Path, layout: str = 'coco', names=NAMES[0], **settings) -> Path:
    file, folder = COCO[layout]
    if 'JPEG' in folder or folder == 'images':
        # One folder of all splits cannot have a name twice.
        return one_folder(root, file, folder, **settings)
    return written.coco(
        root,
        {p: file.format(name) for p, name in names.items()},
        {p: folder.format(name) for p, name in names.items()},
        **settings,
    )


def one_folder(root: Path, file: str, folder: str, **settings) -> Path:
    written.coco(
        root,
        {p: file.format(p) for p in NAMES[0]},
        dict.fromkeys(NAMES[0], folder),
        **settings,
    )
    for path in root.rglob('*.json'):
        data = json.loads(path.read_text())
        for image in data['images']:
            name = f'{path.stem}_{image["file_name"]}'
            Image.new('RGB', (image['width'], image['height'])).save(
                root / folder / name
            )
            image['file_name'] = name
        path.write_text(json.dumps(data))
    return root


@pytest.mark.parametrize('layout', COCO)
def test_boxes_are_found(packs, tmp_path, layout):
    names = dict(NAMES[0], val='valid') if layout == 'roboflow' else NAMES[0]
    root = coco(tmp_path, layout, names)
    (root / 'info.json').write_text('{"images": 3}')
    assert packs.kinds.kind_of(root) == 'detection'
    found = packs.coco_layout.find_coco(root)
    assert {p: part.number for p, part in found.items()} == written.PARTS
    for part in found.values():
        assert all(
            (part.images / image['file_name']).is_file()
            for image in part.data['images']
        )


@pytest.mark.parametrize('names', NAMES, ids=['short', 'long'])
@pytest.mark.parametrize('layout', MASKS)
def test_masks_are_found(packs, tmp_path, layout, names):
    parts = {names[p]: number for p, number in written.PARTS.items()}
    root = written.masks(tmp_path, *MASKS[layout], parts)
    (root / 'meta.json').write_text('{"classes": ["a"]}')
    assert packs.kinds.kind_of(root) == 'segmentation'
    found = packs.mask_layout.find_masks(root)
    assert {p: part.number for p, part in found.items()} == written.PARTS
    for part in found.values():
        for suffix, stems in part.names.items():
            for stem in stems:
                assert (part.images / (stem + suffix)).is_file()
                assert (part.masks / (stem + part.mask_suffix)).is_file()


def test_names_of_masks_and_lists_of_parts(packs, tmp_path):
    root = written.masks(
        tmp_path,
        'JPEGImages',
        'SegmentationClass',
        suffix='_img.JPG',
        mask_suffix='_mask.png',
    )
    # A second suffix of images.
    (root / 'JPEGImages/train0_img.JPG').rename(root / 'JPEGImages/train0_img.png')
    for part, number in written.PARTS.items():
        path = root / f'ImageSets/Segmentation/{part}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(f'{part}{i}\n' for i in range(number)))
    found = packs.mask_layout.find_masks(root)
    assert {p: part.number for p, part in found.items()} == written.PARTS
    assert found['train'].names == {
        '_img.JPG': [f'train{i}' for i in range(1, 6)],
        '_img.png': ['train0'],
    }
    assert found['train'].mask_suffix == '_mask.png'


def test_classes_are_those_with_boxes(packs, tmp_path):
    root = coco(tmp_path, unused='round')
    for number in (None, 2):
        pack = packs.kinds.own_pack('own', str(root), None, number)
        # The super-category has the name of a class.
        assert [c['id'] for c in pack.categories] == [3, 7]
    pack.num_classes = 3
    del pack.__dict__['categories']
    assert len(pack.categories) == 3
    pack.num_classes = 5
    del pack.__dict__['categories']
    with pytest.raises(ValueError, match='export BISSL_NUM_CLASSES=2'):
        pack.categories


@pytest.mark.parametrize('kind', ['coco', 'masks'])
def test_missing_parts_are_drawn_and_said(packs, tmp_path, kind):
    parts = dict(train=10, val=4)
    if kind == 'coco':
        root = written.coco(
            tmp_path,
            {p: f'{p}.json' for p in parts},
            {p: p for p in parts},
            parts=parts,
        )
    else:
        root = written.masks(tmp_path, parts=parts)

    def numbers():
        pack = packs.kinds.own_pack('own', str(root), None, 2)
        return {p: part.number for p, part in pack.parts.items()}, pack.notes

    found, notes = numbers()
    assert found == dict(train=8, val=2, test=4)
    assert 'no test part' in notes[0] and '4 images' in notes[0]
    for path in [*root.rglob('val'), root / 'val.json']:
        if path.exists():
            path.rename(path.with_name(path.name.replace('val', 'test')))
    found, notes = numbers()
    assert found == dict(train=8, val=2, test=4)
    assert 'no part val' in notes[0]
    for path in [*root.rglob('test'), root / 'test.json']:
        if path.exists():
            path.rename(root.parent / f'{tmp_path.name}-{path.parent.name}-{path.name}')
    found, notes = numbers()
    assert found == dict(train=6, val=2, test=2)


def test_what_is_missing_or_ambiguous_is_refused(packs, tmp_path):
    def refused(error, match, root, task=None):
        with pytest.raises(error, match=match):
            pack = packs.kinds.own_pack('own', str(root), task, 2)
            pack.parts

    refused(FileNotFoundError, 'no folder', tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    refused(FileNotFoundError, 'train/<class>.*COCO.*img_dir/train', tmp_path / 'empty')
    for task in packs.kinds.KINDS:
        refused(FileNotFoundError, 'has no', tmp_path / 'empty', task)
    root = coco(tmp_path / 'twice')
    (root / 'train.json').write_bytes(
        (root / 'annotations/instances_train2017.json').read_bytes()
    )
    (root / 'annotations/instances_train2017.json').rename(
        root / 'annotations/train.json'
    )
    refused(ValueError, "annotations/train.json', 'train.json' can each", root)
    root = coco(tmp_path / 'test_alone')
    for part in ('train', 'val'):
        (root / f'annotations/instances_{part}2017.json').unlink()
    refused(FileNotFoundError, 'none is named as the training part', root)
    root = coco(tmp_path / 'absent')
    (root / 'train2017/000.jpg').unlink()
    refused(FileNotFoundError, "the image '000.jpg', which is in no folder", root)
    root = written.masks(tmp_path / 'two', labels='labels/{}')
    written.masks(root, labels='masks/{}')
    refused(ValueError, 'labels/train; .*masks/train', root)
    root = written.masks(tmp_path / 'strange')
    for path in root.glob('ann_dir/train/*'):
        path.rename(path.with_name(f'z{path.name}'))
    refused(FileNotFoundError, "'ztrain0.png' for example.*'train0.jpg'", root)
    root = coco(written.masks(tmp_path / 'both'))
    refused(ValueError, 'Type --task detection or --task segmentation', root)


@pytest.mark.parametrize('layout', ['coco', 'folders'])
@pytest.mark.parametrize('file', ['train', 'test'])
@pytest.mark.parametrize(
    'damage',
    [
        pytest.param(lambda b: b[:-40], id='cut off'),
        pytest.param(
            lambda b: b.replace(b'round', 'r\xfcnd'.encode('latin-1')), id='bytes'
        ),
        pytest.param(lambda b: b'version https://git-lfs.github.com/spec/v1', id='lfs'),
    ],
)
def test_a_damaged_part_is_not_a_missing_one(packs, tmp_path, layout, file, damage):
    root = coco(tmp_path, layout, unused='round')
    path = root / COCO[layout][0].format(file)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f'{path} cannot be read as JSON'):
        packs.kinds.own_pack('own', str(root), None, None)


def test_damaged_files_of_single_images_are_no_part(packs, tmp_path):
    root = written.masks(tmp_path, '{}/images', '{}/masks')
    (root / 'train/images/scan.json').write_text('{"shapes": [')
    assert packs.kinds.kind_of(root) == 'segmentation'


def test_a_file_that_is_no_part_is_said(packs, tmp_path):
    root = coco(tmp_path)
    more = root / 'annotations/instances_more.json'
    more.write_bytes((root / 'annotations/instances_val2017.json').read_bytes())
    pack = packs.kinds.own_pack('own', str(root), None, None)
    assert [note for note in pack.notes if 'instances_more.json is not used' in note]


def changed_boxes(root: Path, change) -> None:
    for path in (root / 'annotations').glob('*.json'):
        data = json.loads(path.read_text())
        data['annotations'] = change(data['annotations'])
        path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('category_id', str, "the category_id '3', but the id in 'categories' is 3"),
        ('image_id', str, "but the id in 'images' is .* without quotes"),
        ('category_id', lambda v: [v], r'the category_id \[3\]. Write a number'),
    ],
    ids=['category', 'image', 'list'],
)
def test_ids_that_cannot_match_are_refused(packs, tmp_path, key, value, message):
    root = coco(tmp_path)
    changed_boxes(root, lambda boxes: [{**b, key: value(b[key])} for b in boxes])
    with pytest.raises(ValueError, match=message):
        packs.kinds.own_pack('own', str(root), None, None).parts


def test_boxes_are_numbered_from_one(packs, tmp_path):
    from pycocotools.coco import COCO as Index
    from pycocotools.cocoeval import COCOeval

    root = coco(tmp_path)
    changed_boxes(root, lambda boxes: [{**b, 'id': i} for i, b in enumerate(boxes)])
    pack = packs.kinds.own_pack('own', str(root), None, None)
    cfg = packs.packs.read(pack.fine_tune_config, pack.task)
    pack.put(cfg, 0, tmp_path / 'lists')
    truth = Index(cfg.test_evaluator.ann_file)
    boxes = truth.dataset['annotations']
    assert sorted(b['id'] for b in boxes) == list(range(1, len(boxes) + 1))
    perfect = truth.loadRes([{**b, 'score': 0.9} for b in copy.deepcopy(boxes)])
    found = COCOeval(truth, perfect, 'bbox')
    found.evaluate()
    found.accumulate()
    found.summarize()
    assert found.stats[1] == pytest.approx(1.0)


@pytest.mark.parametrize('kind', ['refused', 'warned'])
def test_messages_name_the_file_and_the_ids_of_the_user(
    packs, tmp_path, monkeypatch, capsys, kind
):
    root = coco(tmp_path / 'data')
    bad = dict(category_id=99) if kind == 'refused' else dict(bbox=[300, 4, 12, 18])
    changed_boxes(
        root,
        lambda boxes: [
            {**b, 'id': 700 + i, **(bad if i == 2 else {})} for i, b in enumerate(boxes)
        ],
    )
    write_parts(tmp_path, ['images'], number=12)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    pack = packs.kinds.own_pack('own', str(root), 'detection', None)
    lists = tmp_path / 'lists'
    if kind == 'refused':
        with pytest.raises(ValueError) as caught:
            packs.run.look(pack, lists)
        text = str(caught.value)
    else:
        packs.run.look(pack, lists)
        text = capsys.readouterr().out
    assert f"'{root}/annotations/instances_train2017.json'" in text
    assert 'id 702)' in text and str(lists) not in text


def kept_boxes(path: Path, number: int, rest=lambda box: []) -> None:
    """Leave the boxes of some images; ``rest`` gives what the others have."""
    data = json.loads(path.read_text())
    kept = {image['id'] for image in data['images'][1 : 1 + number]}
    boxes = data['annotations']
    data['annotations'] = [
        each
        for box in boxes
        for each in ([box] if box['image_id'] in kept else rest(box))
    ]
    path.write_text(json.dumps(data))


def with_boxes(part) -> int:
    return len(
        {b['image_id'] for b in part.data['annotations'] if not b.get('iscrowd')}
    )


@pytest.mark.parametrize(
    'rest',
    [lambda box: [], lambda box: [{**box, 'iscrowd': 1}]],
    ids=['none', 'crowds'],
)
def test_few_images_with_boxes_are_in_every_drawn_part(
    packs, tmp_path, monkeypatch, rest
):
    parts = dict(train=9, val=30)
    root = written.coco(
        tmp_path, {p: f'{p}.json' for p in parts}, {p: p for p in parts}, parts=parts
    )
    # A fifth of five images, and one of the ten that the runs choose by.
    kept_boxes(root / 'train.json', 5, rest)
    kept_boxes(root / 'val.json', 1, rest)
    monkeypatch.setattr('dense_pack.MOST_VAL', 10)
    (root / 'val.json').rename(root / 'test.json')
    found = packs.kinds.own_pack('own', str(root), 'detection', None).parts
    assert [with_boxes(found[p]) for p in ('train', 'val', 'test')] == [4, 1, 1]
    (root / 'test.json').rename(root / 'val.json')
    written.coco(root, dict(test='test.json'), dict(test='test'))
    found = packs.kinds.own_pack('own', str(root), 'detection', None).parts
    assert (found['val'].number, with_boxes(found['val'])) == (10, 1)


def test_a_test_part_without_boxes_of_the_classes_is_refused(packs, tmp_path):
    root = coco(tmp_path)
    path = root / 'annotations/instances_test2017.json'
    data = json.loads(path.read_text())
    data['categories'] = [dict(id=9, name='flat')]
    for box in data['annotations']:
        box['category_id'] = 9
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f'{path} has no box of a category that'):
        packs.kinds.own_pack('own', str(root), None, None).parts


def test_drawn_parts_have_boxes_or_are_refused(packs, tmp_path):
    def pack_with(number, name):
        root = written.coco(
            tmp_path / name,
            {'train': 'train.json'},
            {'train': 'x'},
            parts=dict(train=20),
        )
        data = json.loads((root / 'train.json').read_text())
        kept = {image['id'] for image in data['images'][:number]}
        data['annotations'] = [b for b in data['annotations'] if b['image_id'] in kept]
        (root / 'train.json').write_text(json.dumps(data))
        return packs.kinds.own_pack('own', str(root), 'detection', None)

    parts = pack_with(5, 'few').parts
    assert {p: part.number for p, part in parts.items()} == dict(
        train=12, val=4, test=4
    )
    with_boxes = {
        p: len({b['image_id'] for b in part.data['annotations']})
        for p, part in parts.items()
    }
    assert with_boxes == dict(train=3, val=1, test=1)
    with pytest.raises(ValueError, match='has 2 images with boxes, too few'):
        pack_with(2, 'too_few').parts


def test_a_picture_beside_the_boxes_is_no_mask(packs, tmp_path):
    root = coco(tmp_path, 'images')
    Image.new('RGB', (40, 30)).save(root / 'annotations/classes.png')
    assert packs.kinds.kind_of(root) == 'detection'


@pytest.mark.parametrize('which', ['labeled', 'unlabeled'])
def test_a_damaged_image_ends_the_look_and_not_a_run(
    packs, tmp_path, monkeypatch, which
):
    root = tmp_path / 'data'
    # One of a hundred, which the stage skips.
    write_parts(root, ['train', 'val', 'test'], number=40)
    write_parts(tmp_path, ['images'], number=40)
    folder = root / 'train' if which == 'labeled' else tmp_path / 'images'
    path = next(folder.rglob('*.png'))
    path.write_bytes(path.read_bytes()[:-30])
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.delenv('BISSL_NUM_CLASSES', raising=False)
    pack = packs.run.read_pack(None)
    with pytest.raises(ValueError, match=path.name):
        packs.run.look(pack, tmp_path / 'lists')


@pytest.mark.parametrize('kind', ['mask', 'image'])
def test_all_labeled_pixels_are_read_before_the_runs(
    packs, tmp_path, monkeypatch, kind
):
    root = tmp_path / 'data'
    if kind == 'mask':
        written.masks(root, parts=dict(train=6, val=3, test=70))
    else:
        write_parts(root, ['train', 'val', 'test'], number=24)
    write_parts(tmp_path, ['images'], number=12)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.delenv('BISSL_NUM_CLASSES', raising=False)
    if kind == 'mask':
        monkeypatch.setenv('BISSL_NUM_CLASSES', '2')
    pack = packs.run.read_pack(None)
    part = 'test' if kind == 'mask' else 'train'
    cfg = packs.packs.read(pack.fine_tune_config, pack.task)
    pack.put(cfg, 0, tmp_path / 'lists')
    (seen,) = look_over(cfg, (part,))
    i = next(i for i in range(len(seen.infos)) if i not in seen.sampled)
    path = Path(seen.infos[i]['seg_map_path' if kind == 'mask' else 'img_path'])
    if kind == 'mask':
        Image.fromarray(np.full_like(np.array(Image.open(path)), 7)).save(path)
    else:
        # Its header and its end are as they were.
        content = bytearray(path.read_bytes())
        content[60:90] = bytes(30)
        path.write_bytes(content)
    with pytest.raises(ValueError, match=path.name):
        packs.run.look(pack, tmp_path / 'lists')


def segmentation(packs, root, tmp_path):
    pack = packs.kinds.own_pack('own', str(root), 'segmentation', 2)
    cfg = packs.packs.read(pack.fine_tune_config, pack.task)
    pack.put(cfg, 0, tmp_path / 'lists')
    return pack


@pytest.mark.parametrize(
    'name, message',
    [
        (b'stra\xdfe', 'is not in UTF-8. Rename the file'),
        (b'scan 0 ', "'scan 0 .jpg' has a blank at an end"),
    ],
    ids=['bytes', 'blank'],
)
def test_names_that_lists_cannot_hold_are_told(packs, tmp_path, name, message):
    root = written.masks(tmp_path / 'set')
    for place in ('img_dir', 'ann_dir'):
        for path in (root / place / 'train').glob('train0.*'):
            path.rename(path.with_name(os.fsdecode(name) + path.suffix))
    with pytest.raises(ValueError, match=message):
        segmentation(packs, root, tmp_path)


def test_photographs_are_taken_as_the_camera_was_held(packs, tmp_path):
    root = written.masks(tmp_path / 'set')
    exif = Image.Exif()
    exif[0x112] = 6
    for path in (root / 'img_dir').rglob('*.jpg'):
        Image.new('RGB', (40, 30)).save(path, exif=exif)
    for path in (root / 'ann_dir').rglob('*.png'):
        Image.new('L', (30, 40)).save(path)
    assert segmentation(packs, root, tmp_path).size == (96, 128)


def test_images_of_another_site_are_said(packs, tmp_path):
    root = tmp_path / 'set'
    for site, names in (('a', '{}'), ('b', 'mask_{}')):
        for i in range(8):
            for kind, name in (('images', f'{i}.jpg'), ('masks', f'{i}.png')):
                path = root / 'train' / site / kind
                path.mkdir(parents=True, exist_ok=True)
                name = names.format(name) if kind == 'masks' else name
                Image.new('RGB' if kind == 'images' else 'L', (40, 30)).save(
                    path / f'{site}{name}'
                    if kind == 'images'
                    else path / f'{site}{name}'
                )
    pack = segmentation(packs, root, tmp_path)
    assert sum(part.number for part in pack.parts.values()) == 8
    (note,) = [note for note in pack.notes if 'are not used' in note]
    assert note.startswith(f'{root / "train/b/images"}: 8 pictures')


def test_class_folders_may_be_named_as_masks(packs, tmp_path):
    write_parts(
        tmp_path, ['train', 'val', 'test'], ['with_mask', 'without_mask', 'image']
    )
    pack = packs.kinds.own_pack('own', str(tmp_path), None, 3)
    assert pack.classes == ['image', 'with_mask', 'without_mask']
    with pytest.raises(ValueError, match='export BISSL_NUM_CLASSES=3'):
        packs.kinds.own_pack('own', str(tmp_path), None, 4)


@pytest.mark.parametrize(
    'parts, numbers',
    [
        (dict(train='train', val='val', test='test'), (5, 5, 5)),
        (dict(train='training', val='valid', test='testing'), (5, 5, 5)),
        (dict(train='train', val='val'), (4, 1, 5)),
        (dict(train='train', test='test'), (4, 1, 5)),
        (dict(train='trainval', test='test'), (4, 1, 5)),
        (dict(train='.'), (3, 1, 1)),
    ],
    ids=lambda p: '-'.join(map(str, p)),
)
def test_parts_of_class_folders(packs, tuned, tmp_path, parts, numbers):
    write_parts(tmp_path, parts.values(), number=5)
    assert packs.kinds.kind_of(tmp_path) == 'classification'
    pack = packs.kinds.own_pack('own', str(tmp_path), None, 3)
    assert pack.classes == list(KINDS) and pack.number == 3 * numbers[0]
    assert (type(pack).__name__ == 'Pack') == (
        parts.get('test') == 'test' and 'val' in parts
    )
    assert bool(pack.notes) == (len(parts) < 3)
    cfg = copy.deepcopy(tuned)
    pack.put(cfg, 0, tmp_path / 'lists')
    seen = {}
    for part in written.PARTS:
        dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset.dataset)
        dataset.full_init()
        labels = dataset.get_gt_labels().tolist()
        seen[part] = {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
        assert [labels.count(i) for i in range(3)] == [len(seen[part]) // 3] * 3
    assert tuple(len(own) // 3 for own in seen.values()) == numbers
    assert len(set().union(*seen.values())) == 3 * sum(numbers)


@pytest.mark.whole
@pytest.mark.parametrize('kind', ['boxes', 'masks', 'classes'])
def test_the_look_finds_nothing_to_refuse(packs, tmp_path, monkeypatch, capsys, kind):
    root = tmp_path / 'data'
    if kind == 'boxes':
        coco(root, 'images', unused='long')
    elif kind == 'masks':
        written.masks(root)
        (root / 'img_dir/train/train0.jpg').rename(root / 'img_dir/train/train0.jpeg')
    else:
        write_parts(root, ['train', 'val'])
        # Grey, tiny, large; a class of one image.
        folder = root / 'train/ant'
        Image.open(folder / '0.png').convert('L').save(folder / '0.png')
        Image.open(folder / '1.png').resize((5, 4)).save(folder / '1.png')
        Image.open(root / 'train/bee/0.png').resize((900, 700)).save(
            root / 'train/bee/0.png'
        )
        (root / 'train/cow/1.png').unlink()
    write_parts(tmp_path, ['images'], number=43)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.delenv('BISSL_NUM_CLASSES', raising=False)
    if kind == 'masks':
        monkeypatch.setenv('BISSL_NUM_CLASSES', '2')
    pack = packs.run.read_pack(None)
    packs.run.look(pack, tmp_path / 'lists')
    shown = capsys.readouterr().out
    number = pack.number
    assert number == dict(boxes=6, masks=6, classes=3)[kind]
    assert f'  train   {number} samples' in shown
    assert 'classes: ' in shown


def test_a_folder_has_the_runs_of_one_set(packs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', 'images')

    def opened(root, *options):
        monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', root)
        args = packs.run.parse_args(list(options))
        args.pack = packs.dense_packs.DetectionPack('own', root)
        return packs.run.open_work_dir(args)

    found = {opened('a'), opened('b'), opened('a', '--epochs', '3')}
    assert len(found) == 3 and opened('a') in found
    opened('a', '--work-dir', 'run')
    for other in ('b',), ('a', '--alternations', '5'):
        with pytest.raises(ValueError, match='has runs of other folders'):
            opened(*other, '--work-dir', 'run')


@pytest.mark.long
@pytest.mark.whole
@pytest.mark.parametrize('kind', ['boxes', 'masks'])
def test_from_pretraining_to_the_report(packs, tmp_path, monkeypatch, capsys, kind):
    parts = dict(train=10, val=4)
    root = tmp_path / 'data'
    if kind == 'boxes':
        written.coco(
            root,
            {p: f'annotations/{p}.json' for p in parts},
            {p: f'images/{p}' for p in parts},
            unused='all',
            parts=parts,
        )
    else:
        written.masks(root, parts=parts)
    write_parts(tmp_path, ['images'], number=90)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '2')
    kinds = packs.dense_packs
    for pack in (kinds.DetectionPack, kinds.SegmentationPack):
        monkeypatch.setattr(pack, 'search', pack.search[:2])
        monkeypatch.setattr(pack, 'STEPS', 5)
    monkeypatch.setattr(packs.study_tasks, 'SEEDS', (1, 2))
    monkeypatch.setattr(packs.run, 'SEEDS', (1, 2))
    command = [
        '--epochs',
        '2',
        '--alternations',
        '1',
        '--stages',
        '2',
        '--workers',
        '1',
        '--work-dir',
        str(tmp_path / 'run'),
    ]
    packs.run.main(command)
    shown = capsys.readouterr().out
    assert 'no test part: the part for validation (4 images)' in shown
    assert f'test {dict(boxes="AP50", masks="mIoU")[kind]}' in shown
    assert shown.count('p = ') == 3
    records = (tmp_path / 'run/runs.jsonl').read_text()
    found = [json.loads(line)['key']['kind'] for line in records.splitlines()]
    assert [found.count(k) for k in ('pretraining', 'stage', 'search', 'final')] == [
        1,
        6,
        8,
        16,
    ]
    packs.run.main(command)
    assert (tmp_path / 'run/runs.jsonl').read_text() == records
