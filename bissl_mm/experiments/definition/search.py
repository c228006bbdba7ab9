"""The search of learning rate and weight decay, as an experiment file gives it."""

from collections.abc import Sequence
from typing import Any

from ...engine.search_space import check_grid, check_range
from ...utils.check import check_in, check_mapping, check_positive_int
from ...utils.errors import ValueRefusal

_KEYS = (
    'settings',
    'lr',
    'weight_decay',
    'grid',
    'points',
    'stages',
    'choice',
    'loss_margin',
)
#: How the setting is chosen.
CHOICES = ('metric', 'balance')
#: Share by which a validation loss may be above the lowest one. The papers print no
#: number.
LOSS_MARGIN = 0.25


def read_search(path: str, given: Any, stages: int) -> dict[str, Any]:
    """The ``search`` of an experiment file.

    Args:
        path (str): The file, for messages.
        given (dict, optional): ``settings`` (number of points), ``lr`` and
            ``weight_decay`` (lowest and highest) and ``grid``, where they differ from
            the task's.
            ``points``, pairs of learning rate and weight decay, in the place of a
            draw. ``stages``: each point is tried on so many of the arm's stages, and
            the mean decides; 1 by default. ``choice``: ``'metric'``, the best
            validation metric, by default; or ``'balance'``, the best one among the
            points whose validation loss is at most ``loss_margin`` (a share) above
            the lowest.
        stages (int): Bilevel stages of each arm.

    Raises:
        TypeError: For an unknown key.
        ValueError: For a value that cannot be.

    Source:
        B.2 and its footnote 2, arXiv:2410.02387. The footnote gives no rule for the
        balance of metric and loss; this one is ours.
    """
    where = f'{path}: search'
    search = check_mapping(where, given, _KEYS)
    search = {key: value for key, value in search.items() if value is not None}
    checks = dict(
        settings=check_positive_int,
        stages=check_positive_int,
        lr=check_range,
        weight_decay=check_range,
        grid=check_grid,
    )
    for key, check in checks.items():
        if key in search:
            check(where, key, search[key])
    if search.get('stages', 1) > stages:
        raise ValueRefusal(
            f'{where}.stages is {search["stages"]}, but each arm has {stages} stages. '
            f'Write stages = {search["stages"]} in the file, or a smaller number here.'
        )
    if 'points' in search:
        search['points'] = _points(where, search['points'])
    check_in(where, 'choice', search.setdefault('choice', CHOICES[0]), CHOICES)
    margin = search.setdefault('loss_margin', LOSS_MARGIN)
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or margin < 0:
        raise ValueRefusal(
            f'{where}.loss_margin is {margin!r}. Write a share of the lowest loss, '
            f'0 or more, for example {LOSS_MARGIN}.'
        )
    return search


def _points(where: str, given: Any) -> list[list[float]]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if is_list and given and all(_is_pair(pair) for pair in given):
        return [[float(value) for value in pair] for pair in given]
    raise ValueRefusal(
        f'{where}.points is {given!r}. Write pairs of learning rate and weight decay, '
        'for example [(0.1, 0.0005), (0.3, 0.0005)].'
    )


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(value, (int, float)) for value in pair)
        and pair[0] > 0 <= pair[1]
    )
