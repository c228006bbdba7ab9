"""The first error of a new user, in words: data that are not there."""

import os
import os.path as osp
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Tuple

from ..utils.errors import FileNotFoundRefusal

LOADERS = ('train_dataloader', 'train_cfg.pretext_dataloader',
           'val_dataloader', 'test_dataloader')


@contextmanager
def missing_data_explained(cfg: Mapping) -> Iterator[None]:
    """Say which folder of a config is missing when a file is not found.

    A folder alone is no error: some data sets download into it.

    Args:
        cfg (Config): With the dataloaders of the run.

    Raises:
        FileNotFoundRefusal: In the place of a ``FileNotFoundError``, if a
            ``data_root`` of a dataloader does not exist.
    """
    try:
        yield
    except FileNotFoundError as error:
        for loader in LOADERS:
            node = cfg
            for key in loader.split('.'):
                node = (node or {}).get(key)
            for setting, root in data_roots(node, loader):
                if root and '://' not in root and not osp.exists(root):
                    raise FileNotFoundRefusal(
                        f"{setting}: the folder '{root}' does not exist in "
                        f"'{os.getcwd()}'. Prepare the data (README, \"The "
                        'four stages"), set BISSL_DATA_DIR to the folder of '
                        'your data sets (BISSL_PRETEXT_DIR and '
                        'BISSL_DOWNSTREAM_DIR for *_imagefolder configs), or '
                        f'type --cfg-options {setting}=FOLDER.') from error
        raise


def data_roots(node: Any, path: str) -> Iterator[Tuple[str, str]]:
    """Setting and value of every ``data_root``, at any depth."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == 'data_root' and isinstance(value, str):
                yield f'{path}.{key}', value
            else:
                yield from data_roots(value, f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from data_roots(value, f'{path}.{i}')
