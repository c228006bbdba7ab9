"""Scenes of digits with their true boxes and masks."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('sklearn')

from bissl_mm.analysis.demo import scenes
from bissl_mm.analysis.demo.digits import split_digits
from bissl_mm.analysis.demo.scene_pictures import ZOOM, draw_boxes, draw_labels


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, 'NUM_SCENES', dict(train=4, val=2, test=6))
        counts = scenes.write_scenes(str(root))
    assert counts == dict(pretext=997, train=4, val=2, test=6)
    return root


def test_no_digit_is_in_two_parts():
    parts = split_digits(scenes.PER_CLASS)
    indices = [d.index for part in parts.values() for d in part]
    assert len(indices) == len(set(indices)) == 1797


def test_boxes_are_those_of_the_masks():
    rng = np.random.default_rng(0)
    digits = split_digits(scenes.PER_CLASS)['test']
    for _ in range(20):
        picture, mask, boxes = scenes.compose(digits, rng)
        assert picture.shape == mask.shape == (96, 96)
        assert boxes
        covered = np.zeros_like(mask)
        for label, (x, y, width, height) in boxes:
            part = mask[y : y + height, x : x + width] == label + 1
            # The box is tight: the digit's ink touches all four sides.
            assert part[0].any() and part[-1].any()
            assert part[:, 0].any() and part[:, -1].any()
            covered[y : y + height, x : x + width] = 1
        assert not mask[covered == 0].any()
        ink = picture[mask > 0].mean() - picture[mask == 0].mean()
        assert ink > 60


@pytest.mark.mmcv_ops
def test_perfect_detections_score_one(folder):
    from mmdet.evaluation import CocoMetric

    truth = json.loads((folder / 'boxes_test.json').read_text())
    metric = CocoMetric(ann_file=str(folder / 'boxes_test.json'))
    metric.dataset_meta = dict(classes=tuple('0123456789'))
    for image in truth['images']:
        mine = [a for a in truth['annotations'] if a['image_id'] == image['id']]
        boxes = np.array([a['bbox'] for a in mine], float)
        boxes[:, 2:] += boxes[:, :2]
        metric.results.append(
            (
                dict(img_id=image['id'], width=96, height=96),
                dict(
                    img_id=image['id'],
                    bboxes=boxes,
                    scores=np.ones(len(mine)),
                    labels=np.array([a['category_id'] for a in mine]),
                ),
            )
        )
    assert metric.compute_metrics(metric.results)['bbox_mAP_50'] == 1.0


def test_pictures_show_what_was_found(folder):
    path = folder / 'scenes/test/0000.png'
    picture = np.asarray(Image.open(path).convert('RGB'))
    drawn = draw_boxes(picture, [[10, 20, 40, 60]], [3])
    assert drawn.shape == (96 * ZOOM, 96 * ZOOM, 3)
    edge = drawn[20 * ZOOM, 12 * ZOOM : 38 * ZOOM].astype(int)
    assert (edge.max(1) - edge.min(1)).min() > 60
    labels = np.zeros((96, 96), int)
    labels[5:9, 5:9], labels[20:24, 20:24] = 4, 255
    drawn = draw_labels(picture, labels)
    changed = (drawn[::ZOOM, ::ZOOM] != picture).any(2)
    assert changed[5:9, 5:9].all()
    changed[5:9, 5:9] = False
    assert not changed.any()
