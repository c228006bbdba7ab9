"""The batch of all processes together, of which each takes its part.

A config that states ``batch_size``, the samples of one process, is right with
one number of processes alone. ``total_batch_size`` in the place of it is right
with every number that divides it.
"""

from collections.abc import Mapping
from typing import Any

from .check import check_positive_int
from .errors import ValueRefusal

KEY = 'total_batch_size'
#: A whole batch of more samples on one process is worth a line in the log.
LARGE = 256


def batch_size_of(where: str, dataloader: Mapping, world_size: int) -> int:
    """Samples that each process takes of a batch.

    Args:
        where (str): Name of the dataloader, for the message.
        dataloader (Mapping): Its config. ``batch_size``, which only a user
            can have added to a ``total_batch_size``, is taken before it.
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
            f'{KEY}={total} evenly. Start {number} instead, for example '
            f'tools/dist_train.sh CONFIG {number}, or choose the samples of '
            f'each process yourself: --cfg-options {where}.batch_size='
            f'{max(total // world_size, 1)}.'
        )
    return total // world_size


def describe_batch(where: str, dataloader: Any, world_size: int) -> str | None:
    """A line about the batch of a dataloader that states a total.

    Args: as of :func:`batch_size_of`.

    Returns:
        str or None: None for a dataloader without a total.
    """
    if not isinstance(dataloader, Mapping) or KEY not in dataloader:
        return None
    number = batch_size_of(where, dataloader, world_size)
    total = number * world_size
    text = (
        f'{where}: {total} samples a step, {number} on each of '
        f'{world_size} process(es).'
    )
    if total != dataloader[KEY]:
        return (
            f'{text} The config states {KEY}={dataloader[KEY]}; '
            f'batch_size={number} was set beside it.'
        )
    if world_size == 1 and total > LARGE:
        return (
            f'{text} Where that does not fit into memory, start more '
            'processes (tools/dist_train.sh CONFIG N) or, in the bilevel '
            'stage, set optim_wrapper.num_micro_batches.'
        )
    return text


def share_batches(cfg: Any, world_size: int) -> list[str]:
    """Put each process's ``batch_size`` in the place of every total.

    Args:
        cfg (Config or dict): A whole config. Its ``train_dataloader`` and
            ``train_cfg.pretext_dataloader`` are changed in place.
        world_size (int): Number of processes.

    Returns:
        list[str]: A line for the log about each of them.

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
