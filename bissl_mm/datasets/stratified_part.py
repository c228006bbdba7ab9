"""A split of a labelled dataset that keeps the class proportions."""

from fractions import Fraction
from math import ceil

import torch
from mmengine.dataset import BaseDataset

from ..registry import DATASETS
from ..utils.check import check_in, check_keys
from ..utils.errors import ValueRefusal
from ..utils.random import fold_seed
from .part import Part
from .strata import STRATA


@DATASETS.register_module()
@check_keys
class StratifiedPart(Part):
    """The same share of every class or every folder, or the rest.

    It is for datasets without a validation split. The paper sets about 20% of
    the training data aside at random and keeps the class proportions, for
    Cityscapes within each city (B.1, arXiv:2410.02387).

    Args:
        dataset (dict): A dataset of mmpretrain, mmdet or mmseg, or a
            ``ConcatDataset``. The datasets of a split and of its complement
            may differ in their pipelines only. A filter in one of them would
            shift the samples.
        share (float): Share of each stratum in this split, between 0 and 1.
            Samples are whole, so a stratum has less than one sample too many
            or too few. The size of the whole split is rounded, halves down. At a
            share of 0.8 a stratum of 5 samples has at least one in either
            split. This holds for every stratum whose two shares are one sample
            or more. A smaller stratum may be missing from either split.
        complement (bool): Take the rest instead. Defaults to False.
        seed (int): Seed of the draw. A split and its complement need the
            same. Defaults to 0.
        by (str): What makes a stratum. ``'label'``, the default: the
            ``gt_label``. ``'folder'``: the folder of the image file, relative
            to the folder that all files share. ``'rarest_class'``, for several
            classes per image: the class of the image that the fewest images
            have, read from boxes, labels or mask files. Masks are opened once
            per process, which takes a few milliseconds each.

    Raises:
        ValueError: If ``share`` or ``by`` is out of range, if the split is
            empty, or if a sample has no such stratum.
    """

    def __init__(
        self,
        dataset: dict | BaseDataset,
        share: float,
        complement: bool = False,
        seed: int = 0,
        by: str = 'label',
    ) -> None:
        if not 0 < share < 1:
            raise ValueRefusal(
                f'StratifiedPart: share must be between 0 and 1, but is {share!r}. '
                'Write for example share=0.8.'
            )
        check_in('StratifiedPart', 'by', by, tuple(STRATA))
        super().__init__(dataset)
        self.indices = self._select(share, complement, seed, by)
        if not self.indices:
            raise ValueRefusal(
                f'StratifiedPart: share={share} of {len(self.dataset)} '
                'samples leaves this split empty. Choose another share.'
            )

    def _select(self, share: float, complement: bool, seed: int, by: str) -> list[int]:
        strata = {}
        for i, stratum in enumerate(STRATA[by](self.dataset)):
            strata.setdefault(stratum, []).append(i)
        chosen, before = [], 0
        for stratum, members in strata.items():
            generator = torch.Generator().manual_seed(
                fold_seed(seed, 'stratified', stratum)
            )
            order = torch.randperm(len(members), generator=generator)
            # The sum over the strata so far is rounded. So the split gets its
            # share even if there are many small strata.
            cut = _rounded(share, before + len(members)) - _rounded(share, before)
            before += len(members)
            part = order[cut:] if complement else order[:cut]
            chosen.extend(members[i] for i in part.tolist())
        return sorted(chosen)


def _rounded(share: float, number: int) -> int:
    """A share of a number, rounded, with halves rounded down.

    Rounding halves to even would make the difference of two such numbers wrong
    by a whole sample, and so would a product of floats that misses a half.
    """
    return ceil(Fraction(str(share)) * number - Fraction(1, 2))
