"""A part of a labelled dataset with the class proportions kept."""

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

    For datasets without a validation part: the paper sets about 20% of the
    training data aside at random, with the class proportions kept, of
    Cityscapes in each city (B.1, arXiv:2410.02387).

    Args:
        dataset (dict): A dataset of mmpretrain, mmdet or mmseg, also a
            ``ConcatDataset``. That of a part and that of its complement may
            differ in their pipelines alone: a filter in one of them would
            shift the samples.
        share (float): Share of each stratum in the part, between 0 and 1.
            Samples are whole: a stratum has less than one too many or too
            few, the part as a whole is rounded, halves down. So a stratum of
            5 has one in either part at a share of 0.8, as has any stratum
            whose two shares are one sample or more; of a smaller one, either
            part may have none.
        complement (bool): Take the rest instead. Defaults to False.
        seed (int): Seed of the split; a part and its complement need the
            same. Defaults to 0.
        by (str): What makes a stratum. ``'label'``, the default: the one
            ``gt_label``. ``'folder'``: the folder of the image file,
            below the folder that all files have in common.
            ``'rarest_class'``, for several classes an image: that one of
            its classes which the fewest images have, read from boxes,
            labels or mask files; masks are opened once a process, some
            milliseconds each.

    Raises:
        ValueError: If ``share`` or ``by`` is out of range, the part is empty
            or a sample has no such stratum.
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
                f'StratifiedPart: share must lie between 0 and 1, but is {share!r}.'
            )
        check_in('StratifiedPart', 'by', by, tuple(STRATA))
        super().__init__(dataset)
        self.indices = self._select(share, complement, seed, by)
        if not self.indices:
            raise ValueRefusal(
                f'StratifiedPart: share={share} of {len(self.dataset)} '
                'samples leaves this part empty. Choose another share.'
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
            # Rounded over the strata so far: of many small ones, too, the
            # part has its share.
            cut = _rounded(share, before + len(members)) - _rounded(share, before)
            before += len(members)
            part = order[cut:] if complement else order[:cut]
            chosen.extend(members[i] for i in part.tolist())
        return sorted(chosen)


def _rounded(share: float, number: int) -> int:
    """A share of a number, halves down.

    Halves to even, or a product of floats that misses a half, would let the
    difference of two such numbers be a whole sample off.
    """
    return ceil(Fraction(str(share)) * number - Fraction(1, 2))
