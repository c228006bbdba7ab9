"""Parts of a labelled dataset."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from PIL import Image

from bissl_mm.datasets import StratifiedPart
from bissl_mm.datasets.strata import classes_of


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
    assert numbers(StratifiedPart(whole, 0.5)) == numbers(StratifiedPart(whole, 0.5))
    assert numbers(StratifiedPart(whole, 0.5)) != numbers(
        StratifiedPart(whole, 0.5, seed=1)
    )


@pytest.mark.parametrize('share', [0, 1, 1.5])
def test_bad_share_is_named(share):
    with pytest.raises(ValueError, match=f'but is {share}'):
        StratifiedPart(Labelled(), share)


class Sizes(BaseDataset):
    """Strata of given sizes, one after the other."""

    def __init__(self, sizes):
        self.sizes = sizes
        super().__init__()

    def load_data_list(self):
        return [dict(gt_label=k) for k, n in enumerate(self.sizes) for _ in range(n)]


# 0.29 * 50 is less than 14.5 in floats, 0.5 of 1 and of 3 are halves.
@pytest.mark.parametrize('share', ['0.5', '0.29', '0.7', '0.8', '0.1'])
@pytest.mark.parametrize(
    'sizes',
    [(1, 2, 1, 2), (50, 100, 100, 2), (3, 4, 5, 7, 9, 11, 13) * 7, (5, 15, 20, 40, 60)],
)
def test_a_stratum_is_less_than_one_sample_off(share, sizes):
    whole = Sizes(sizes)
    parts = [
        StratifiedPart(whole, float(share), complement=complement)
        for complement in (False, True)
    ]
    found = [Counter(part[i]['gt_label'] for i in range(len(part))) for part in parts]
    for label, size in enumerate(sizes):
        numbers = [count[label] for count in found]
        assert sum(numbers) == size
        for number, of_part in zip(numbers, (Fraction(share), 1 - Fraction(share))):
            assert abs(number - of_part * size) < 1
            assert number >= 1 or of_part * size < 1
    assert abs(len(parts[0]) - Fraction(share) * sum(sizes)) <= Fraction(1, 2)


class Files(BaseDataset):
    def __init__(self, paths):
        self.paths = paths
        super().__init__()

    def load_data_list(self):
        return [dict(img_path=path) for path in self.paths]


def test_folders_of_one_name_in_two_cities_are_two_strata():
    def rest(root, names):
        files = Files([f'{root}/{name}/{i}.png' for name in names for i in range(5)])
        part = StratifiedPart(files, 0.8, complement=True, by='folder')
        return [part[i]['img_path'].removeprefix(f'{root}/') for i in range(len(part))]

    names = [f'{city}/{side}' for city in 'abcdef' for side in ('left', 'right')]
    found = rest('/data/cities', names)
    assert sorted(path.rsplit('/', 1)[0] for path in found) == names
    # In any folder, and in any notation of its path.
    assert found == rest('/mnt/x/left', names) == rest('cities/.', names)


def test_empty_part_is_named():
    with pytest.raises(ValueError, match='leaves this split empty'):
        StratifiedPart(Labelled(), 0.01)


def test_ids_of_a_mask_that_are_no_class(tmp_path):
    path = str(tmp_path / 'mask.png')
    Image.fromarray(np.array([[0, 3, 255]], np.uint8)).save(path)
    assert classes_of(dict(seg_map_path=path)) == {0, 3}
    # There, 0 is ignored, too.
    assert classes_of(dict(seg_map_path=path, reduce_zero_label=True)) == {3}
