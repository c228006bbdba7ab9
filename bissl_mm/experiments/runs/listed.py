"""Looks for the images that the lists of a task name."""

import os.path as osp

from mmengine.config import Config

from ...config import is_type
from ...utils.errors import FileNotFoundRefusal
from .small import LOADERS, nodes


def check_listed(cfg: Config) -> None:
    """Refuse a task of whose images some are missing, before the first run: the last
    ones would find it out after all others.

    Args:
        cfg (Config): Merged. Its ``CustomDataset`` with lists are looked at.

    Raises:
        FileNotFoundError: With the list, how many of its images are missing, and the
            first of them; or with a list of classes that does not exist.
    """
    for name in LOADERS[:3]:
        for _, dataset in nodes(cfg.get(name) or {}):
            classes = dataset.get('classes')
            if isinstance(classes, str) and not osp.isfile(classes):
                raise FileNotFoundRefusal(
                    f'{name}: the list of classes {classes!r} does not exist. Prepare '
                    'the set again: python tools/prepare_dataset.py.'
                )
            if not is_type(dataset, 'CustomDataset') or not dataset.get('ann_file'):
                continue
            root = dataset.get('data_root') or ''
            path = osp.join(root, dataset['ann_file'])
            folder = osp.join(root, dataset.get('data_prefix') or '')
            with open(path, encoding='utf-8') as file:
                lines = [line.strip() for line in file if line.strip()]
            if dataset.get('with_label', True):
                # As mmpretrain reads them: a name, which may have blanks, and a label.
                lines = [line.rsplit(' ', 1)[0] for line in lines]
            files = [osp.join(folder, line) for line in lines]
            missing = [file for file in files if not osp.isfile(file)]
            if missing:
                raise FileNotFoundRefusal(
                    f'{path}: {len(missing)} of its {len(files)} images are missing, '
                    f'first {missing[0]!r}. Put them there, or prepare the set again: '
                    'python tools/prepare_dataset.py.'
                )
