"""Checks that the folders and files that a config names exist."""

import os
import os.path as osp
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.config import Config

from ..config import is_type
from ..utils.errors import FileNotFoundRefusal

#: Keys under which a config has the data of each split.
_PLACES = dict(
    pretext='train_cfg.pretext_dataloader',
    train='train_dataloader',
    val='val_dataloader',
    test='test_dataloader',
)


#: Folders of the parts of own class folders.
_SPLITS = ('train', 'val', 'test')
#: Data sets of mmpretrain that download themselves.
_DOWNLOADED = ('CIFAR10', 'CIFAR100', 'FashionMNIST', 'MNIST')


def check_data_folders(cfg: Config, parts: Iterable[str]) -> None:
    """Refuse a data folder or annotation file that does not exist.

    Only the existence of local paths in mmengine's form (``data_root``,
    ``data_prefix`` and ``ann_file``) is checked, not their content. Data sets
    that download themselves may be missing.

    Args:
        cfg (Config): A config; not changed.
        parts (Iterable[str]): Some of ``'pretext'``, ``'train'``, ``'val'``
            and ``'test'``. The config need not have all of them.

    Raises:
        FileNotFoundError: With the path, its key, and the environment
            variable or the option that sets it.
    """
    for part in parts:
        loader = cfg
        for key in _PLACES[part].split('.'):
            loader = (loader or {}).get(key)
        dataset = (loader or {}).get('dataset')
        for key, found in _datasets(dataset, f'{_PLACES[part]}.dataset'):
            _check_dataset(cfg, key, found)


def _datasets(dataset: Any, key: str) -> Iterator[tuple[str, dict]]:
    """The configs of a dataset and of those within it, with dotted keys."""
    if isinstance(dataset, dict):
        yield key, dataset
        yield from _datasets(dataset.get('dataset'), f'{key}.dataset')
        for i, inner in enumerate(dataset.get('datasets') or ()):
            yield from _datasets(inner, f'{key}.datasets.{i}')


def _check_dataset(cfg: Config, key: str, dataset: dict) -> None:
    if is_type(dataset, *_DOWNLOADED):
        return
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or ''
    prefixes = prefix if isinstance(prefix, dict) else dict(_=prefix)
    paths = [('data_root', root, osp.isdir)]
    # In the root, or the root itself if the prefix is empty.
    paths += [
        (
            'data_prefix' + ('' if name == '_' else f'.{name}'),
            _join(root, value) or root,
            osp.isdir,
        )
        for name, value in prefixes.items()
    ]
    paths += [('ann_file', _join(root, dataset.get('ann_file')), osp.isfile)]
    for name, path, exists in paths:
        if not path or '://' in path:
            continue
        if exists(path):
            if name == 'data_root' or exists is osp.isfile or _has_a_file(path):
                continue
            raise FileNotFoundRefusal(
                f'{key}.{name}: the data folder {path!r} contains no file. '
                f'{_remedy(cfg, key, name, root)}'
            )
        undivided = _undivided(dataset, root) if name == 'data_prefix' else []
        if undivided:
            some = ', '.join(map(repr, undivided[:2]))
            raise FileNotFoundRefusal(
                f'{key}.{name}: the data folder {path!r} does not exist: {root!r} has '
                f'the class folders ({some}, ...) itself, but must have '
                'train/<class>, val/<class> and test/<class>. Type python tools/'
                f'prepare_dataset.py folder {shlex.quote(root)} --out FOLDER, which '
                f'divides it. Then: {_remedy(cfg, key, name, root)}'
            )
        kind = 'folder' if exists is osp.isdir else 'file'
        raise FileNotFoundRefusal(
            f'{key}.{name}: the data {kind} {path!r} does not exist (working '
            f'folder {os.getcwd()!r}). {_remedy(cfg, key, name, root)}'
        )


def _undivided(dataset: dict, root: str) -> list[str]:
    """Class folders that lie where those of the parts should."""
    if dataset.get('ann_file') or not osp.isdir(root):
        return []
    names = sorted(
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and not entry.name.startswith('.')
    )
    divided = not set(_SPLITS).isdisjoint(names)
    return [] if divided or dataset.get('data_prefix') not in _SPLITS else names


def _has_a_file(folder: str) -> bool:
    return any(files for _, _, files in os.walk(folder, followlinks=True))


def _join(root: str, path: Any) -> str | None:
    if not isinstance(path, str) or not path or '://' in root:
        return None
    return osp.join(root, path)


def _remedy(cfg: Config, key: str, name: str, root: str) -> str:
    option = f'--cfg-options {key}.{"data_root" if root else name}=FOLDER'
    named = _variables(cfg, root)
    if not named:
        return f'Type {option}.'
    variable, value = named[0]
    rest = osp.relpath(root, value)
    below = '' if rest == '.' else f' with the folder that contains {rest!r}'
    state = (
        f'is {value!r} now'
        if variable in os.environ
        else (f'is not set, so its default {value!r} is used')
    )
    return f'Type export {variable}=FOLDER{below} ({variable} {state}), or {option}.'


def _variables(cfg: Config, root: str) -> list[tuple[str, str]]:
    """The config's environment variables whose value ``root`` begins with.

    The longest value comes first.
    """
    found = set()
    for variable, default in re.findall(
        r'\{\{\s*\$(\w+)\s*:\s*(.*?)\s*\}\}', cfg.text or ''
    ):
        value = os.environ.get(variable, default)
        if value and (osp.normpath(root) + '/').startswith(osp.normpath(value) + '/'):
            found.add((variable, value))
    return sorted(found, key=lambda pair: -len(pair[1]))
