"""A dataset without the images of other splits."""

import os
import os.path as osp
from collections.abc import Sequence

from mmengine.dataset import BaseDataset
from mmengine.fileio import list_from_file

from ..registry import DATASETS
from ..utils.check import check_keys
from ..utils.errors import FileNotFoundRefusal, ValueRefusal
from .part import Part


@DATASETS.register_module()
@check_keys
class WithoutImages(Part):
    """A dataset without the images in some lists, and with each image once.

    It is for collections whose lists overlap. The segmentation lists of
    VOC2012 contain images of VOC2007, some of them from its test list, with
    ``2007_`` before the number in their names.

    Args:
        dataset (dict): A dataset whose samples have an ``img_path``, or a
            ``ConcatDataset``. If several images have the same name, the first
            one is kept.
        lists (Sequence[str]): Text files with one image name per line.
            Suffixes are ignored.
        ignore_prefix (str): Prefix of names that is ignored, too. Defaults to
            none.

    Raises:
        FileNotFoundError: If there is no such list.
        ValueError: If no image is left.
    """

    def __init__(
        self, dataset: dict | BaseDataset, lists: Sequence[str], ignore_prefix: str = ''
    ) -> None:
        missing = [file for file in lists if not osp.isfile(file)]
        if missing:
            raise FileNotFoundRefusal(
                f'WithoutImages: the file {missing[0]!r} in lists does not '
                f'exist (working folder {os.getcwd()!r}). Correct the path.'
            )
        super().__init__(dataset)

        def name_of(path: str) -> str:
            name = osp.splitext(osp.basename(path.strip()))[0]
            return (
                name[len(ignore_prefix) :] if name.startswith(ignore_prefix) else name
            )

        seen = {name_of(line) for file in lists for line in list_from_file(file)}
        indices = []
        for i in range(len(self.dataset)):
            name = name_of(self.dataset.get_data_info(i)['img_path'])
            if name not in seen:
                indices.append(i)
            seen.add(name)
        self.indices = indices
        if not indices:
            raise ValueRefusal(
                f'WithoutImages: all {len(self.dataset)} images are in '
                f'{", ".join(lists)}, so none is left. Correct the lists.'
            )
