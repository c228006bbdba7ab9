"""Settings of dataloaders that depend on one another."""

from collections.abc import Iterator
from typing import Any

#: What torch's loader refuses without worker processes.
_OF_WORKERS = ('persistent_workers', 'prefetch_factor', 'multiprocessing_context')


def dataloaders(cfg: Any) -> Iterator[tuple[str, Any]]:
    """The dataloaders of a config, each with its dotted key.

    Args:
        cfg (Config or dict): A whole config.
    """
    for part in ('train', 'val', 'test'):
        yield f'{part}_dataloader', cfg.get(f'{part}_dataloader')
    train_cfg = cfg.get('train_cfg')
    if isinstance(train_cfg, dict):
        yield ('train_cfg.pretext_dataloader', train_cfg.get('pretext_dataloader'))


def settle_workers(cfg: Any) -> None:
    """Let ``num_workers=0`` be enough to load without worker processes.

    torch refuses settings of worker processes where there are none.

    Args:
        cfg (Config or dict): A whole config; changed in place.
    """
    for _, loader in dataloaders(cfg):
        if isinstance(loader, dict) and not loader.get('num_workers'):
            for key in _OF_WORKERS:
                loader.pop(key, None)


def settle_pinning(cfg: Any, has_gpu: bool) -> None:
    """Let every dataloader pin its batches, where that serves anything.

    From pinned memory a copy to a GPU is faster, and the host need not wait for it.
    Without a GPU torch would only warn. ``pin_memory=False`` of a config stays.

    Args:
        cfg (Config or dict): A whole config; changed in place.
        has_gpu (bool): Whether there is a device to copy to.
    """
    for _, loader in dataloaders(cfg):
        if isinstance(loader, dict):
            pin_loader(loader, has_gpu)


def pin_loader(loader: Any, has_gpu: bool) -> None:
    """The same for one dataloader."""
    if has_gpu:
        loader.setdefault('pin_memory', True)
    else:
        loader.pop('pin_memory', None)


def pipelines_of(loader: Any) -> list[Any]:
    """The transforms of a dataloader's first data set, outermost last.

    Args:
        loader (dict): Config of a dataloader. The list is empty if the data
            set is given as an object, not as a config.
    """
    dataset, steps = dict(loader).get('dataset'), []
    while isinstance(dataset, dict):
        steps = [*(dataset.get('pipeline') or ()), *steps]
        inner = dataset.get('datasets')
        dataset = inner[0] if inner else dataset.get('dataset')
    return steps
