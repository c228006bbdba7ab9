"""The 11-point mAP, against VOC's definition."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from bissl_mm.evaluation import VOC07Metric, eleven_point_precision
from bissl_mm.utils.errors import KeyRefusal, ValueRefusal


def by_definition(scores, targets) -> Fraction:
    """VOCevalcls: go down the ranking, then read the precision at each tenth."""
    ranking = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    positives = sum(target == 1 for target in targets)
    hits = misses = 0
    points = []
    for i in ranking:
        # VOC's 0: neither a hit nor a false alarm.
        if targets[i] == -1:
            continue
        hits, misses = hits + (targets[i] == 1), misses + (targets[i] == 0)
        points.append((Fraction(hits, positives), Fraction(hits, hits + misses)))
    total = Fraction(0)
    for tenth in range(11):
        reached = [p for r, p in points if r >= Fraction(tenth, 10)]
        total += max(reached, default=Fraction(0))
    return total / 11


@pytest.mark.parametrize(
    'targets, expected',
    [
        # In the order of falling scores.
        ([1, 1, 0, 0], 1),
        ([0, 0, 1], Fraction(1, 3)),
        # Precision 1 up to recall 0.5, 2/3 from there: 6 and 5 points.
        ([1, 0, 1], (6 + 5 * Fraction(2, 3)) / 11),
        # A tenth of a recall that rounding would miss: 3 of 10 reach 0.3.
        ([1] * 3 + [0] * 7 + [1] * 7, (4 + 7 * Fraction(10, 17)) / 11),
        # Images that are not counted change nothing.
        ([-1, 1, -1, 0, 1, -1], (6 + 5 * Fraction(2, 3)) / 11),
    ],
)
def test_cases_by_hand(targets, expected):
    scores = np.linspace(1, 0, len(targets))
    found = eleven_point_precision(scores, np.array(targets))
    assert found == pytest.approx(float(expected), rel=1e-12)
    assert by_definition(scores, targets) == expected


def test_rankings_equal_the_definition():
    rng = np.random.default_rng(0)
    for number in range(2, 60):
        targets = rng.choice([1, 0, -1], number, p=[0.3, 0.6, 0.1])
        targets[rng.integers(number)] = 1
        # Many scores are equal; the order of the images decides then.
        scores = rng.integers(0, 8, number) / 8
        found = eleven_point_precision(scores, targets)
        assert found == pytest.approx(float(by_definition(scores, targets)), rel=1e-12)


def samples(rng, number: int = 40) -> list[dict]:
    """Of four classes; the last one has no image."""
    found = []
    for _ in range(number):
        every = torch.tensor([i for i in range(3) if rng.random() < 0.4])
        difficult = [int(i) for i in every if rng.random() < 0.5]
        found.append(
            dict(
                pred_score=torch.tensor(rng.random(4)),
                gt_label=every.long(),
                gt_label_difficult=difficult,
            )
        )
    return found


@pytest.mark.parametrize('difficult', ['positive', 'ignored'])
def test_classes_are_averaged_and_difficult_objects_count_as_asked(difficult):
    data = samples(np.random.default_rng(1))
    metric = VOC07Metric(difficult=difficult)
    # In two batches.
    metric.process(None, data[:30])
    metric.process(None, data[30:])
    expected = []
    for i in range(3):
        targets = [int(i in sample['gt_label']) for sample in data]
        if difficult == 'ignored':
            hard = [i in sample['gt_label_difficult'] for sample in data]
            targets = [-1 if h else t for h, t in zip(hard, targets, strict=True)]
        scores = [float(sample['pred_score'][i]) for sample in data]
        expected.append(float(by_definition(scores, targets)))
    found = metric.evaluate(len(data))
    assert found == {'voc07/mAP': pytest.approx(100 * np.mean(expected), rel=1e-9)}


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueRefusal, match="difficult is 'both', but must be one of"):
        VOC07Metric(difficult='both')
    (sample,) = samples(np.random.default_rng(0), 1)
    sample.pop('gt_label_difficult')
    with pytest.raises(KeyRefusal, match='Add algorithm_keys'):
        VOC07Metric(difficult='ignored').process(None, [sample])
    metric = VOC07Metric()
    metric.process(None, [dict(sample, gt_label=torch.zeros(0))])
    with pytest.raises(ValueRefusal, match='none of 1 images has a class'):
        metric.evaluate(1)
