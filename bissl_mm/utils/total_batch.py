"""Divides the batch of all processes among them.

``batch_size`` is the number of samples per process. So a config that states it
fits one number of processes only. A config that states ``total_batch_size``
fits every number of processes that divides it.
"""

from collections.abc import Mapping
from typing import Any

from .check import check_positive_int
from .errors import ValueRefusal

KEY = 'total_batch_size'
#: If a process takes more samples of a total, the log says how to save memory.
LARGE = 256


def batch_size_of(where: str, dataloader: Mapping, world_size: int) -> int:
    """The number of samples of a batch that each process takes.

    Args:
        where (str): Name of the dataloader, for the message.
        dataloader (Mapping): Its config. If ``batch_size`` stands beside
            ``total_batch_size``, the user has added it, and it wins.
        world_size (int): Number of processes.

    Raises:
        ValueError: If the processes cannot share the total evenly.
    """
    if 'batch_size' in dataloader or KEY not in dataloader:
        return dataloader.get('batch_size', 1)
    total = dataloader[KEY]
    check_positive_int(where, KEY, total)
    if total % world_size:
        number = max(n for n in range(1, world_size + 1) if total % n == 0)
        raise ValueRefusal(
            f'{where}: {world_size} processes cannot share '
            f'{KEY}={total} evenly. Start {number} processes instead, for '
            f'example tools/dist_train.sh CONFIG {number}, or set the samples '
            f'per process yourself: --cfg-options {where}.batch_size='
            f'{max(total // world_size, 1)}.'
        )
    return total // world_size


def describe_batch(where: str, dataloader: Any, world_size: int) -> str | None:
    """A line about the batch of a dataloader with ``total_batch_size``.

    Args: those of :func:`batch_size_of`.

    Returns:
        str or None: None for a dataloader without ``total_batch_size``.
    """
    if not isinstance(dataloader, Mapping) or KEY not in dataloader:
        return None
    number = batch_size_of(where, dataloader, world_size)
    total = number * world_size
    text = (
        f'{where}: {total} samples per step, {number} on each of '
        f'{world_size} process(es).'
    )
    if total != dataloader[KEY]:
        return (
            f'{text} The config states {KEY}={dataloader[KEY]}, but '
            f'batch_size={number} is set as well and wins.'
        )
    if world_size == 1 and total > LARGE:
        return (
            f'{text} If that does not fit into memory, start more processes '
            '(tools/dist_train.sh CONFIG N), or set '
            'optim_wrapper.num_micro_batches in the bilevel stage.'
        )
    return text


def share_batches(cfg: Any, world_size: int) -> list[str]:
    """Replace every ``total_batch_size`` by each process's ``batch_size``.

    Args:
        cfg (Config or dict): A whole config. Its ``train_dataloader`` and
            ``train_cfg.pretext_dataloader`` are changed in place.
        world_size (int): Number of processes.

    Returns:
        list[str]: A line for the log about each dataloader.

    Raises:
        ValueError: If the processes cannot share a total evenly.
    """
    lines = []
    for where, dataloader in _dataloaders(cfg).items():
        line = describe_batch(where, dataloader, world_size)
        if line is None:
            continue
        lines.append(line)
        dataloader['batch_size'] = batch_size_of(where, dataloader, world_size)
        del dataloader[KEY]
    return lines


def _dataloaders(cfg: Any) -> dict[str, Any]:
    return {
        'train_dataloader': cfg.get('train_dataloader'),
        'train_cfg.pretext_dataloader': (cfg.get('train_cfg') or {}).get(
            'pretext_dataloader'
        ),
    }
