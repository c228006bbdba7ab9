"""What the look over the data says about boxes, before a library reads them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from bissl_mm.datasets.look import look_over

pytestmark = pytest.mark.mmcv_ops
NAMES = ('nut', 'bolt', 'screw')
SIZE = (60, 40)


def boxes_of(part):
    """Three boxes for each of four images, in two rows and away from the borders."""
    rng = np.random.default_rng(len(part))
    for image in range(4):
        for k in range(3):
            yield (
                image,
                k,
                [int(rng.integers(2, 6)) + 20 * k, int(rng.integers(2, 18)), 12, 15],
            )


def write_images(folder, number=4, suffix='png', **options):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    for i in range(number):
        Image.fromarray(rng.integers(0, 255, (*SIZE[::-1], 3), np.uint8)).save(
            folder / f'{i}.{suffix}', **options
        )


def coco(root, change=None, parts=('train', 'val'), suffix='png', **options):
    """Files in COCO's format; ``change(data, part)`` may spoil them."""
    for part in parts:
        write_images(root / part, suffix=suffix, **options)
        data = dict(
            images=[
                dict(id=i + 1, file_name=f'{i}.{suffix}', width=SIZE[0], height=SIZE[1])
                for i in range(4)
            ],
            annotations=[
                dict(
                    id=n,
                    image_id=image + 1,
                    category_id=k + 1,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
                for n, (image, k, box) in enumerate(boxes_of(part), 1)
            ],
            categories=[dict(id=k, name=name) for k, name in enumerate(NAMES, 1)],
        )
        data = (change(data, part) or data) if change else data
        (root / f'{part}.json').write_text(
            data if isinstance(data, str) else json.dumps(data)
        )


def config(root, kind='CocoDataset', **dataset):
    def loader(part):
        return dict(
            batch_size=2,
            dataset={
                **dict(
                    type=kind,
                    data_root=f'{root}/',
                    ann_file=f'{part}.json',
                    data_prefix=dict(img=f'{part}/'),
                    test_mode=part != 'train',
                    metainfo=dict(classes=NAMES),
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='LoadAnnotations', with_bbox=True),
                        dict(type='PackDetInputs'),
                    ],
                ),
                **dataset,
            },
        )

    return Config(
        dict(
            default_scope='mmdet',
            train_dataloader=loader('train'),
            val_dataloader=loader('val'),
            model=dict(type='FasterRCNN'),
            val_evaluator=dict(type='CocoMetric', ann_file=f'{root}/val.json'),
        )
    )


def looked(cfg, *names):
    import bissl_mm.models  # noqa: F401

    return look_over(cfg, names or ('train', 'val'))


def each(title, change, only=None):
    """A function that spoils every entry of one list."""

    def spoil(data, part):
        if only in (None, part):
            for entry in data[title]:
                change(entry)

    return spoil


def pop(title, key, only=None):
    return each(title, lambda entry: entry.pop(key), only)


def to_corners(ann):
    x, y, w, h = ann['bbox']
    ann['bbox'] = [x, y, x + w, y + h]


def to_unit(ann):
    ann['bbox'] = [value / size for value, size in zip(ann['bbox'], SIZE * 2)]
    ann['area'] = 0.01


def second(data, **keys):
    data['annotations'][1].update(keys)


def first_image_lost(data, part):
    if part == 'val':
        data['annotations'][0]['image_id'] = 77


REFUSED = {
    'image size': (pop('images', 'width'), "4 of 4 images have no 'width'"),
    'file name': (pop('images', 'file_name', 'val'), "no 'file_name'"),
    'box': (
        pop('annotations', 'bbox', 'val'),
        "12 of 12 annotations have no 'bbox' (first: id 1)",
    ),
    'area': (pop('annotations', 'area', 'val'), "annotations have no 'area'"),
    'annotation id': (pop('annotations', 'id'), "annotations have no 'id'"),
    'category name': (pop('categories', 'name'), "categories have no 'name'"),
    'crowd in val': (pop('annotations', 'iscrowd', 'val'), 'val_evaluator.ann_file: '),
    'no categories': (
        lambda d, p: {k: v for k, v in d.items() if k != 'categories'},
        "has no list 'categories'",
    ),
    'no annotations': (lambda d, p: dict(d, annotations=[]), 'has no annotations'),
    'category text': (
        each(
            'annotations', lambda a: a.update(category_id=str(a['category_id'])), 'val'
        ),
        'Text and number do not',
    ),
    'image text': (
        each('images', lambda a: a.update(id=str(a['id']))),
        'Text and number do not match',
    ),
    'category unknown': (
        lambda d, p: second(d, category_id=9),
        '1 of 12 annotations have a category_id that is not',
    ),
    'images unknown': (
        each('annotations', lambda a: a.update(image_id=a['image_id'] + 50)),
        '12 of 12 annotations have a image_id',
    ),
    'twice image': (
        lambda d, p: d['images'][2].update(id=1),
        '1 of 4 images repeat the id of another one (1)',
    ),
    'twice annotation': (
        lambda d, p: second(d, id=1),
        '1 of 12 annotations repeat the id',
    ),
    'twice name': (
        lambda d, p: d['categories'][2].update(name='nut'),
        "repeat the name of another one ('nut')",
    ),
    'corners': (each('annotations', to_corners), 'seem to be corners'),
    'corners in val': (
        each('annotations', to_corners, 'val'),
        'val_dataloader.dataset.ann_file: ',
    ),
    'unit': (
        each('annotations', to_unit),
        '12 of 12 boxes have coordinates from 0 to 1',
    ),
    'box as an object': (
        each('annotations', lambda a: a.update(bbox=dict(x=1, y=2))),
        "not four finite numbers, for example {'x': 1, 'y': 2}",
    ),
    'nothing but crowds': (
        each('annotations', lambda a: a.update(iscrowd=1)),
        'boxes are crowds (iscrowd 1)',
    ),
    'NaN': (
        lambda d, p: second(d, bbox=[1, 2, float('nan'), 4]),
        'not four finite numbers, for example [1, 2, nan, 4] (first: id 2)',
    ),
    'text box': (
        lambda d, p: second(d, bbox=['1', '2', '3', '4']),
        'not four finite numbers',
    ),
    'three numbers': (
        lambda d, p: second(d, bbox=[1, 2, 3]),
        'not four finite numbers',
    ),
    'list': (lambda d, p: d['annotations'], 'contains a list instead of an'),
    'cut': (lambda d, p: json.dumps(d)[:-40], 'is not JSON'),
    'mark': (lambda d, p: '\ufeff' + json.dumps(d), 'byte-order mark'),
    'area 0': (
        each('annotations', lambda a: a.update(area=0)),
        '12 of 12 boxes are left out by mmdet: area 0 (12)',
    ),
    'no height': (
        each('annotations', lambda a: a.update(bbox=[*a['bbox'][:3], 0])),
        '12 of 12 boxes are left out by mmdet: narrower or lower than one pixel (12)',
    ),
    'far': (
        each('annotations', lambda a: a.update(bbox=[900, 5, 9, 9])),
        '12 of 12 boxes reach outside of their images',
    ),
    'ignored': (each('annotations', lambda a: a.update(ignore=1)), 'flag ignore (12)'),
    'swapped': (
        each('images', lambda a: a.update(width=a['height'], height=a['width'])),
        'is 60 x 40 after decoding, but 40 x 60 in the annotations. Width and height are swapped',
    ),
    'resized': (
        each('images', lambda a: a.update(width=120, height=80)),
        '120 x 80 in the annotations. Write the size of the image',
    ),
    'backslash': (
        each('images', lambda a: a.update(file_name='x\\' + a['file_name'])),
        "The file_name 'x\\\\0.png' has a backslash",
    ),
    'folder twice': (
        each('images', lambda a: a.update(file_name='train/' + a['file_name'])),
        "Set data_prefix.img=''",
    ),
    'missing file': (
        lambda d, p: d['images'][3].update(file_name='9.png'),
        'does not exist',
    ),
    'missing folder': (
        each('images', lambda a: a.update(file_name='b' + a['file_name'])),
        '4 of 4 images do not exist',
    ),
    'class': (
        lambda d, p: d['categories'][1].update(name='Bolts'),
        "has no category 'bolt'",
    ),
    'order': (
        lambda d, p: d['categories'].reverse() if p == 'val' else None,
        "number 0 is 'nut' in the first file and 'screw' in the second",
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_home_made_files_are_refused_with_file_and_key(name, tmp_path):
    change, expected = REFUSED[name]
    coco(tmp_path, change)
    look = looked(config(tmp_path))
    assert expected in '\n'.join(look.refusals), look.refusals
    assert all(str(tmp_path) in line for line in look.refusals)


@pytest.mark.parametrize(
    'change',
    [
        None,
        pop('annotations', 'iscrowd', 'train'),
        each('annotations', lambda a: a.update(id=a['id'] + 1000)),
        # Large boxes in the middle satisfy x < width, y < height, too.
        each('annotations', lambda a: a.update(bbox=[4, 3, 50, 33], area=1650)),
        # As fractions of a pixel.
        each(
            'annotations',
            lambda a: a.update(bbox=[value + 0.25 for value in a['bbox']]),
        ),
    ],
)
def test_good_files_are_passed_and_counted(change, tmp_path):
    coco(tmp_path, change)
    look = looked(config(tmp_path))
    assert (look.refusals, look.warnings) == ([], [])
    assert look.parts['train'].facts['boxes'] == 12
    assert look.parts['val'].classes['bolt']['boxes'] == 4


def test_what_mmdet_leaves_out_is_what_is_counted(tmp_path):
    def spoil(data, part):
        for i, keys in enumerate(
            (
                dict(area=0),
                dict(ignore=1),
                dict(bbox=[5, 5, 0.4, 9]),
                dict(bbox=[70, 5, 9, 9]),
                dict(image_id=44),
                dict(iscrowd=1),
            )
        ):
            data['annotations'][2 * i].update(keys)
        data['categories'].append(dict(id=8, name='washer'))
        data['annotations'][11].update(category_id=8)

    coco(tmp_path, spoil, parts=('train',))
    look = looked(config(tmp_path), 'train')
    (part,) = look
    assert look.refusals == []
    instances = [instance for info in part.infos for instance in info['instances']]
    crowds = [each['ignore_flag'] for each in instances].count(1)
    assert crowds == 1
    assert part.facts['boxes'] == len(instances) - crowds == 5
    reasons = '\n'.join(part.left_out)
    for reason in (
        'area 0',
        'flag ignore',
        'narrower',
        'outside of',
        'image not in the file',
        'class not in metainfo',
    ):
        assert f'1 of 12 boxes: {reason}' in reasons
    assert len(part.left_out) == 7
    assert "'washer' (1)" in '\n'.join(look.warnings)


def test_images_that_the_filter_drops_are_counted(tmp_path):
    def spoil(data, part):
        data['annotations'] = [a for a in data['annotations'] if a['image_id'] != 2]
        data['images'][3].update(width=10, height=8)
        Image.new('RGB', (10, 8)).save(tmp_path / part / '3.png')

    coco(tmp_path, spoil, parts=('train',))
    cfg = config(tmp_path, filter_cfg=dict(filter_empty_gt=True, min_size=9))
    (part,) = looked(cfg, 'train')
    assert len(part.dataset) == 2
    assert any(line.startswith('1 of 4 images: no boxes') for line in part.left_out)
    assert any(
        line.startswith('1 of 4 images: smaller than min_size=9')
        for line in part.left_out
    )


@pytest.mark.parametrize('orientation', [6, 8])
def test_images_turned_by_exif_are_refused_until_they_are_not(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    coco(tmp_path, suffix='jpg', exif=exif)
    cfg = config(tmp_path)
    refused = looked(cfg).refusals
    assert len(refused) == 2
    assert 'is 40 x 60 after decoding, but 60 x 40 in the ann' in refused[0]
    assert 'train/0.jpg' in refused[0]
    assert "color_type='color_ignore_orientation'" in refused[0]
    for part in ('train', 'val'):
        cfg[f'{part}_dataloader'].dataset.pipeline[
            0
        ].color_type = 'color_ignore_orientation'
    assert looked(cfg).refusals == []


@pytest.mark.parametrize(
    'kind, dataset',
    [
        ('CocoDataset', {}),
        ('mmseg.BaseSegDataset', {}),
        ('mmpretrain.CustomDataset', {}),
        ('RepeatDataset', {}),
    ],
)
@pytest.mark.parametrize(
    'written, remedy',
    [
        ('cell', "('cell',)"),
        ('nut, bolt', "('nut', 'bolt')"),
        ('no/such.txt', 'or the path of a file that exists'),
    ],
)
def test_classes_written_as_a_string_are_refused(
    kind, dataset, written, remedy, tmp_path
):
    coco(tmp_path, parts=())
    cfg = config(tmp_path, kind=kind, metainfo=dict(classes=written))
    if kind == 'RepeatDataset':
        inner = cfg.train_dataloader.dataset
        inner.type = 'CocoDataset'
        cfg.train_dataloader.dataset = dict(type=kind, times=2, dataset=inner)
    look = looked(cfg)
    line = look.refusals[0]
    assert f'metainfo.classes is the string {written!r}' in line
    assert remedy in line


@pytest.mark.parametrize(
    'classes, expected',
    [
        (('nut', 'nut'), "has 'nut' 2 times"),
        ((1, 2), "Write ('1', '2')"),
        ({'nut', 'bolt'}, 'is of type set'),
        (3, 'is of type int'),
    ],
)
def test_classes_that_are_no_names_are_refused(classes, expected, tmp_path):
    look = looked(config(tmp_path, metainfo=dict(classes=classes)))
    assert expected in look.refusals[0]


def metric_file(root, change):
    data = json.loads((root / 'val.json').read_text())
    change(data)
    (root / 'other.json').write_text(json.dumps(data))
    cfg = config(root)
    cfg.val_evaluator.ann_file = f'{root}/other.json'
    return looked(cfg)


@pytest.mark.parametrize(
    'change, expected',
    [
        (lambda d: d['images'].pop(), '(other.json)? lacks'),
        (
            lambda d: d['images'].append(dict(d['images'][0], id=99)),
            'would count as missed',
        ),
        (
            lambda d: [d['images'][i].update(id=2 - i) for i in (0, 1)],
            'boxes of another one',
        ),
        (lambda d: d['categories'].reverse(), "number 0 is 'nut' in the first"),
        (lambda d: d['categories'].pop(0), 'category_id that is not in'),
    ],
)
def test_a_metric_of_other_annotations_is_refused(change, expected, tmp_path):
    coco(tmp_path)
    text = '\n'.join(metric_file(tmp_path, change).refusals)
    assert expected.rpartition('? ')[2] in text
    assert 'val_evaluator.ann_file' in text


@pytest.mark.parametrize(
    'metric, expected',
    [
        (
            dict(type='CocoMetric', metric=['bbox', 'segm'], ann_file=None),
            'FasterRCNN predicts boxes only',
        ),
        (dict(type='CocoMetric'), 'CocoMetric has no ann_file'),
        (dict(type='VOCMetric', pipeline=1), 'VOCMetric compares with the boxes'),
    ],
)
def test_metrics_that_would_stop_at_the_first_validation(metric, expected, tmp_path):
    coco(tmp_path)
    cfg = config(tmp_path)
    if metric.pop('pipeline', 0):
        del cfg.val_dataloader.dataset.pipeline[1]
    cfg.val_evaluator = metric
    assert expected in '\n'.join(looked(cfg).refusals)


SQUARE = [[5, 5, 15, 5, 15, 15]]
RLE = dict(size=[60, 40], counts=[2400])


@pytest.mark.parametrize(
    'mask, expected',
    [
        (None, "12 of 12 annotations have no 'segmentation'"),
        (SQUARE[0], 'neither a list of polygons nor an RLE'),
        (RLE, 'an RLE of another size than their image, for example [60, 40]'),
        ([[5, 5, 15, 5]], 'none of the 12 masks has a polygon of three points'),
        (SQUARE, ''),
        (dict(RLE, size=[40, 60]), ''),
    ],
)
def test_instance_masks_where_a_pipeline_asks_for_them(mask, expected, tmp_path):
    coco(tmp_path, each('annotations', lambda a: a.update(segmentation=mask)))
    cfg = config(tmp_path)
    cfg.train_dataloader.dataset.pipeline[1].with_mask = True
    text = '\n'.join(looked(cfg).refusals)
    assert expected in text and bool(expected) == bool(text)


def voc(root: Path, change=None, size=SIZE):
    """VOC's format: boxes with pixels from 1; ``change(text, i)``."""
    folder = root / 'JPEGImages'
    write_images(folder, suffix='jpg')
    (root / 'Annotations').mkdir()
    objects = {}
    for image, k, (x, y, w, h) in boxes_of('train'):
        objects[image] = objects.get(image, '') + (
            f'<object><name>{NAMES[k]}</name><difficult>{int(not k)}'
            f'</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
            f'<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>'
        )
    for i, text in objects.items():
        text = (
            f'<annotation><size><width>{size[0]}</width><height>'
            f'{size[1]}</height></size>{text}</annotation>'
        )
        (root / f'Annotations/{i}.xml').write_text(change(text, i) if change else text)
    (root / 'train.txt').write_text('0\n1\n2\n3\n')
    cfg = config(
        root,
        kind='VOCDataset',
        ann_file='train.txt',
        data_prefix=dict(sub_data_root=''),
    )
    cfg.val_evaluator = dict(type='VOCMetric', metric='mAP')
    return cfg


@pytest.mark.parametrize(
    'change, expected',
    [
        (lambda t, i: t.replace('nut', ' Nut'), '12 of 12'),
        (lambda t, i: t.replace('nut', 'Nut'), "4 boxes have class 'Nut'"),
        (lambda t, i: t.replace('nut', 'nut '), "4 boxes have class 'nut '"),
        (lambda t, i: t[:-30] if i == 2 else t, '1 of 4 annotations'),
        (
            lambda t, i: t.replace('<ymin>', '<yy>').replace('</ymin>', '</yy>'),
            'is not four numbers',
        ),
        (lambda t, i: t.replace('<xmin>', '<xmin>90'), 'below xmin'),
        (lambda t, i: t.replace('<difficult>1', '<difficult>yes'), 'must be 0 or 1'),
        (lambda t, i: t.replace('<width>60', '<width>6e1'), 'a <size> without'),
        (
            lambda t, i: t.replace('60</w', '40</w').replace('40</h', '60</h'),
            'is 60 x 40 after decoding, but 40 x 60 in the ann',
        ),
        (
            lambda t, i: (
                t.replace('nut', 'a').replace('bolt', 'b').replace('screw', 'c')
            ),
            'no box has a class',
        ),
    ],
)
def test_voc_files_are_refused_with_file_and_tag(change, expected, tmp_path):
    refused = '\n'.join(looked(voc(tmp_path, change), 'train').refusals)
    if expected == '12 of 12':
        expected = "4 boxes have class ' Nut'"
    assert expected in refused
    assert 'train_dataloader.dataset.ann_file' in refused


def test_voc_files_are_counted_as_mmdet_uses_them(tmp_path):
    look = looked(voc(tmp_path), 'train')
    assert look.refusals == []
    part = look.parts['train']
    flags = [
        instance['ignore_flag'] for info in part.infos for instance in info['instances']
    ]
    assert part.facts['boxes'] == flags.count(0) == 8
    assert part.left_out == ['4 of 12 boxes: difficult, neither object nor background']
    # All of its boxes are difficult.
    assert any("('nut'): they cannot be learnt" in line for line in look.warnings)


def text_ids(data, part):
    for image in data['images']:
        image['id'] = f'{image["id"]:03}'
    for ann in data['annotations']:
        ann['image_id'] = f'{ann["image_id"]:03}'


def text_categories(data, part):
    for entry in data['categories']:
        entry['id'] = str(entry['id'])
    for ann in data['annotations']:
        ann['category_id'] = str(ann['category_id'])


def numbered_anew(data, part):
    numbers = {1: 40, 2: 7, 3: 19}
    for entry in data['categories']:
        entry['id'] = numbers[entry['id']]
    for ann in data['annotations']:
        ann['category_id'] = numbers[ann['category_id']]


def text_annotations(data, part):
    for ann in data['annotations']:
        ann['id'] = f'a{ann["id"]}'


def id_zero(data, part):
    data['annotations'][0]['id'] = 0


def test_an_image_listed_twice_is_a_warning(tmp_path):
    def spoil(data, part):
        data['images'][1]['file_name'] = data['images'][0]['file_name']

    coco(tmp_path, spoil)
    assert any(
        '1 of 4 images repeat the file_name' in line
        for line in looked(config(tmp_path), 'train').warnings
    )


def precision_of_a_perfect_detector(cfg):
    import torch
    from mmdet.registry import DATASETS, METRICS

    # Ignore the scope that an earlier test left.
    dataset = DATASETS.build(
        dict(cfg.val_dataloader.dataset, pipeline=[], _scope_='mmdet')
    )
    metric = METRICS.build(dict(cfg.val_evaluator, _scope_='mmdet'))
    metric.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        found = info['instances']
        metric.process(
            {},
            [
                dict(
                    img_id=info['img_id'],
                    ori_shape=(info['height'], info['width']),
                    pred_instances=dict(
                        bboxes=torch.tensor([each['bbox'] for each in found]).float(),
                        scores=torch.ones(len(found)),
                        labels=torch.tensor([e['bbox_label'] for e in found]),
                    ),
                )
            ],
        )
    return metric.evaluate(len(dataset))['coco/bbox_mAP']


@pytest.mark.parametrize(
    'change',
    [None, text_ids, text_categories, numbered_anew, text_annotations, id_zero],
)
def test_a_perfect_detector_of_what_passes_scores_one(change, tmp_path):
    coco(tmp_path, change)
    cfg = config(tmp_path)
    look = looked(cfg)
    told = bool(look.refusals or look.warnings)
    try:
        precision = precision_of_a_perfect_detector(cfg)
    except (KeyError, ValueError) as error:
        if change is None:
            raise
        # The libraries fail on these.
        print(error)
        precision = -1.0
    assert told == (precision < 1), (precision, look.refusals, look.warnings)


def of_other_images(data, part):
    for ann in data['annotations']:
        ann['bbox'] = [2 * value for value in ann['bbox']]
        ann['area'] *= 4


def centred(data, part):
    for ann in data['annotations']:
        x, y, width, height = ann['bbox']
        ann['bbox'] = [x + width / 2 + 4, y + height / 2, width, height]


@pytest.mark.parametrize(
    'change, refused, warned',
    [
        (of_other_images, 'if the images were twice as large', ''),
        (centred, '', 'if x and y were the centre'),
        (
            each('annotations', lambda a: a.update(iscrowd='0')),
            "12 of 12 annotations have 'iscrowd' as text, for example '0'",
            '',
        ),
        (
            each('annotations', lambda a: a.update(iscrowd=None)),
            "12 of 12 annotations have no 'iscrowd'",
            '',
        ),
        (
            each('annotations', lambda a: a.update(area=a['area'] / 2400)),
            '',
            'an area that does not fit their box',
        ),
        (each('annotations', lambda a: a.update(area=a['area'] / 3)), '', ''),
        (
            each('images', lambda i: i.update(width=61)),
            '',
            'a pixel or two larger or smaller than annotated',
        ),
        (lambda data, part: '[' * 100000, 'is not JSON', ''),
    ],
)
def test_doubtful_numbers_are_told(change, refused, warned, tmp_path):
    coco(tmp_path, change)
    look = looked(config(tmp_path))
    for told, lines in ((refused, look.refusals), (warned, look.warnings)):
        assert told in '\n'.join(lines) and bool(told) == bool(lines)


@pytest.mark.parametrize('moved, refused', [(12, True), (1, False)])
def test_metric_with_other_boxes_of_the_same_images(moved, refused, tmp_path):
    def shifted(data, part):
        for ann in data['annotations'][:moved]:
            ann['bbox'][0] += 3

    coco(tmp_path)
    coco(tmp_path / 'other', shifted)
    cfg = config(tmp_path)
    cfg.val_evaluator.ann_file = str(tmp_path / 'other/val.json')
    look = looked(cfg)
    lines = look.refusals if refused else look.warnings
    assert any(f'{moved} boxes of the first file are not in' in line for line in lines)
    assert bool(look.refusals) == refused


def doubled(text, i):
    return re.sub(r'<([xy]m..)>(\d+)', lambda m: f'<{m[1]}>{2 * int(m[2])}', text)


@pytest.mark.parametrize(
    'change, expected',
    [
        (
            lambda t, i: t.replace('<difficult>0', '<difficult>1'),
            'all 12 boxes are difficult',
        ),
        (doubled, 'of 12 boxes reach outside of their images'),
    ],
)
def test_voc_boxes_that_teach_nothing_are_refused(change, expected, tmp_path):
    refused = '\n'.join(looked(voc(tmp_path, change), 'train').refusals)
    assert expected in refused


@pytest.mark.parametrize(
    'overlap, smallest, refused', [(0, None, True), (0.3, None, False), (0, 1, False)]
)
def test_voc_box_without_width(overlap, smallest, refused, tmp_path):
    cfg = voc(
        tmp_path,
        lambda t, i: re.sub(
            r'<xmin>(\d+)(.*?)<xmax>\d+', r'<xmin>\1\2<xmax>\1', t, count=1
        ),
    )
    cfg.model = dict(
        train_cfg=dict(assigner=dict(type='MaxIoUAssigner', min_pos_iou=overlap))
    )
    if smallest:
        cfg.train_dataloader.dataset.filter_cfg = dict(bbox_min_size=smallest)
    look = looked(cfg, 'train')
    told = look.refusals if refused else look.warnings
    assert bool(look.refusals) == refused
    assert any('no width or no height' in line for line in told) == (smallest is None)
