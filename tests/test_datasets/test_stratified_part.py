"""Parts of a labelled dataset."""

from collections import Counter

import pytest
from mmengine.dataset import BaseDataset

from bissl_mm.datasets import StratifiedPart


class Labelled(BaseDataset):
    METAINFO = dict(classes=('a', 'b', 'c'))

    def load_data_list(self):
        return [dict(gt_label=i % 10 // 4, number=i) for i in range(50)]


def numbers(part):
    return [part[i]['number'] for i in range(len(part))]


def test_part_and_complement_share_every_class():
    whole = Labelled()
    part = StratifiedPart(whole, 0.8)
    rest = StratifiedPart(whole, 0.8, complement=True)
    assert sorted(numbers(part) + numbers(rest)) == list(range(50))
    counts = Counter(part[i]['gt_label'] for i in range(len(part)))
    assert counts == {0: 16, 1: 16, 2: 8}
    assert part.metainfo['classes'] == ('a', 'b', 'c')
    assert part.get_data_info(3)['number'] == numbers(part)[3]


def test_the_seed_decides():
    whole = Labelled()
    assert numbers(StratifiedPart(whole, 0.5)) == numbers(
        StratifiedPart(whole, 0.5))
    assert numbers(StratifiedPart(whole, 0.5)) != numbers(
        StratifiedPart(whole, 0.5, seed=1))


@pytest.mark.parametrize('share', [0, 1, 1.5])
def test_bad_share_is_named(share):
    with pytest.raises(ValueError, match=f'but is {share}'):
        StratifiedPart(Labelled(), share)


def test_empty_part_is_named():
    with pytest.raises(ValueError, match='leaves this part empty'):
        StratifiedPart(Labelled(), 0.01)
