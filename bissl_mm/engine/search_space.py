"""The search of settings that a fine-tuning config describes."""

import math
from collections.abc import Mapping
from typing import Any

from ..utils.check import check_mapping, check_positive_int
from ..utils.errors import ValueRefusal

_DEFAULTS = dict(
    settings=8,
    grid=None,
    seeds=5,
    lr=(1e-4, 1.0),
    weight_decay=(1e-5, 1e-2),
    metric='accuracy/top1',
    found=None,
)


def search_space(cfg: Any, typed: Mapping[str, Any] | None = None) -> dict:
    """The ``search`` of a config, with defaults for missing keys.

    Args:
        cfg (Config or dict): A fine-tuning config.
        typed (Mapping, optional): Arguments of a command line, which replace those of
            the config unless they are None; others than those of a search are left
            out. Defaults to None.

    Returns:
        dict: ``settings`` and ``seeds`` are numbers of runs. ``lr`` and
        ``weight_decay`` are the lowest and highest value. ``grid`` is None, for
        random settings between them, or how many learning rates and weight decays
        a grid has (thesis, 7.1.2). ``metric`` of the
        evaluator chooses the best setting. ``found`` says where the learning
        rate and weight decay of the config come from; None if no search found
        them.

    Raises:
        TypeError: For an unknown key.
        ValueError: For a number of runs below 1, a range without numbers in it, or
            a grid without two numbers of points.

    Source:
        B.2, B.7, B.8 and C.6, arXiv:2410.02387. Where accuracy and validation
        loss disagree, the paper weighs both (footnote 2 of B.2). Here the metric
        decides, unless an experiment file asks for the balance (``search.choice``).
    """
    given = check_mapping('search', cfg.get('search'), _DEFAULTS)
    typed = {
        key: value
        for key, value in (typed or {}).items()
        if key in _DEFAULTS and value is not None
    }
    space = {**_DEFAULTS, **given, **typed}
    for key in ('settings', 'seeds'):
        check_positive_int(*_place(key, typed), space[key])
    for key in ('lr', 'weight_decay'):
        check_range(*_place(key, typed), space[key])
    if space['grid'] is not None:
        check_grid('search', 'grid', space['grid'])
    return space


def _place(key: str, typed: Mapping[str, Any]) -> tuple[str, str]:
    """Where a value was given, for a message."""
    return (
        ('command line', f'--{key.replace("_", "-")}')
        if key in typed
        else ('search', key)
    )


def check_range(where: str, name: str, bounds: Any) -> None:
    """Refuse a range that no setting can be drawn from.

    Settings are drawn by their logarithm, so both bounds are above 0.

    Args:
        where (str): Where it stands, for the message.
        name (str): Its key.
        bounds (Sequence[float]): Lowest and highest value.

    Raises:
        ValueError: For another value.
    """
    if (
        not isinstance(bounds, (list, tuple))
        or len(bounds) != 2
        or not all(isinstance(b, (int, float)) and math.isfinite(b) for b in bounds)
        or not 0 < bounds[0] <= bounds[1]
    ):
        raise ValueRefusal(
            f'{where}: {name} must be two numbers above 0, the lower one first, but is '
            f'{bounds!r}.'
        )


def check_grid(where: str, name: str, grid: Any) -> None:
    """Refuse a grid without a number of learning rates and one of weight decays.

    Args:
        where (str): Where it stands, for the message.
        name (str): Its key.
        grid (Sequence[int]): Both numbers.

    Raises:
        ValueError: For another value.
    """
    if not isinstance(grid, (list, tuple)) or len(grid) != 2:
        raise ValueRefusal(
            f'{where}: {name} must be a number of learning rates and one of weight '
            f'decays, for example [4, 2], but is {grid!r}.'
        )
    for number in grid:
        check_positive_int(where, name, number)


def place_holder_note(cfg: Any) -> str | None:
    """A warning that the settings of a config are not the result of a search.

    Args:
        cfg (Config or dict): Any config.

    Returns:
        str or None: None for a config whose settings were found by a search,
        or that names no search at all.
    """
    space = search_space(cfg)
    if cfg.get('search') is None or space['found']:
        return None
    optimizer = cfg['optim_wrapper']['optimizer']
    values = ' and '.join(
        f'{name}={optimizer[name]:g}'
        for name in ('lr', 'weight_decay')
        if name in optimizer
    )
    ranges = ', '.join(
        f'{name} {low:g} to {high:g}'
        for name, (low, high) in (
            ('lr', space['lr']),
            ('weight_decay', space['weight_decay']),
        )
    )
    path = getattr(cfg, 'filename', None) or 'CONFIG'
    return (
        f'{values}: these are place-holders, not found by a search, so what '
        f'this run reaches is no result. tools/compare_arms.py {path} --arm '
        f'NAME=CHECKPOINT searches {space["settings"]} settings ({ranges}) '
        f'and then trains {space["seeds"]} seeds. If you chose the values, '
        'add --cfg-options search.found=mine.'
    )
