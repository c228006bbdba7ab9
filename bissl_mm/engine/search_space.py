"""What a fine-tuning config says about the search of its settings."""

from typing import Any

from ..utils.check import check_mapping

_DEFAULTS = dict(
    settings=8,
    seeds=5,
    lr=(1e-4, 1.0),
    weight_decay=(1e-5, 1e-2),
    metric='accuracy/top1',
    found=None,
)


def search_space(cfg: Any) -> dict:
    """The config's ``search``, completed.

    Args:
        cfg (Config or dict): A fine-tuning config.

    Returns:
        dict: ``settings`` and ``seeds``, how many; ``lr`` and
        ``weight_decay``, lowest and highest; ``metric`` of the evaluator, by
        which the best is chosen; ``found``, where the learning rate and weight
        decay in the config come from, None if from no search.

    Raises:
        TypeError: For an unknown key.

    Source:
        B.2, B.7, B.8 and C.6, arXiv:2410.02387. The paper weighs accuracy
        against the validation loss where they disagree (footnote 2 of B.2);
        here the metric decides.
    """
    given = check_mapping('search', cfg.get('search'), _DEFAULTS)
    return {**_DEFAULTS, **given}


def place_holder_note(cfg: Any) -> str | None:
    """A sentence for those who would take the run for a result.

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
        f'{values}: place-holders that no search has found, so what this run '
        f'reaches is no result. tools/compare_arms.py {path} --arm '
        f'NAME=CHECKPOINT searches {space["settings"]} settings ({ranges}) '
        f'and then trains {space["seeds"]} seeds. If the values are yours, '
        'add --cfg-options search.found=mine.'
    )
