"""The page of ``tools/alignment.py``."""

from collections.abc import Mapping, Sequence

import numpy as np

from .. import __version__
from ..utils.errors import ValueRefusal
from . import report
from .alignment import Alignment, summary
from .features import embed, nearest_neighbour_accuracy
from .json_file import write_json

#: Maximal number of points in a t-SNE picture. Its time grows faster than they.
MOST_POINTS = 2000


def arms_of(
    starts: Sequence[str], tuned: Sequence[str]
) -> dict[str, tuple[str, list[str]]]:
    """Read ``NAME=CKPT`` arguments.

    Args:
        starts (Sequence[str]): One for each arm.
        tuned (Sequence[str]): Any number for each arm.

    Returns:
        dict: Name -> first checkpoint, fine-tuned checkpoints.

    Raises:
        ValueError: For another form, a name that is given twice, or a fine-tuned
            model of no arm.
    """
    arms: dict[str, tuple[str, list[str]]] = {}
    for name, path in map(_split, starts):
        if name in arms:
            raise ValueRefusal(
                f'--arm: {name!r} is given twice: {arms[name][0]} and {path}. Give '
                'each arm another name.'
            )
        arms[name] = path, []
    for name, path in map(_split, tuned):
        if name not in arms:
            raise ValueRefusal(
                f'--tuned: {name}={path} names an arm that --arm does not have '
                f'({", ".join(arms)}). Add --arm {name}=CKPT.'
            )
        arms[name][1].append(path)
    return arms


def write_alignment(
    path: str, found: Mapping[str, Alignment], json_path: str | None = None
) -> list[tuple[str, ...]]:
    """Write the page and the figures.

    Args:
        path (str): HTML file.
        found (Mapping[str, Alignment]): By arm.
        json_path (str, optional): JSON file. Defaults to None.

    Returns:
        list[tuple[str, ...]]: The rows of the page's table; the first is the head.
    """
    figures = summary(found)
    for name, arm in found.items():
        if arm.labels is not None:
            figures[name]['neighbours'] = nearest_neighbour_accuracy(
                arm.test, arm.labels
            )
    rows = [('arm', 'parameters', 'features', 'effective dimension', 'neighbours [%]')]
    for name, row in figures.items():
        rows.append(
            (
                name,
                _times_hundred(row, 'parameters'),
                _times_hundred(row, 'features'),
                f'{row["effective_dimension"]:.1f}',
                f'{row["neighbours"]:.1f}' if 'neighbours' in row else '',
            )
        )
    first = next(iter(found.values()))
    step = -(-len(first.test) // MOST_POINTS)
    labels = first.labels
    report.write_report(
        path,
        'alignment.html',
        title='Alignment of backbones',
        rows=rows,
        images=len(first.test),
        channels=first.test.shape[1],
        neighbours=labels is not None,
        points=len(first.test[::step]),
        scatter=None
        if labels is None
        else report.scatter_pair(
            list(found),
            [embed(arm.test[::step]) for arm in found.values()],
            labels[::step],
            [str(i) for i in range(int(labels.max()) + 1)],
        ),
        version=__version__,
    )
    if json_path:
        write_json(json_path, figures)
    return rows


def _split(text: str) -> tuple[str, str]:
    name, equals, path = text.partition('=')
    if not (name and equals and path):
        raise ValueRefusal(f'{text!r} is not of the form NAME=CKPT.')
    return name, path


def _times_hundred(row: Mapping[str, float], kind: str) -> str:
    if kind not in row:
        return ''
    deviation = row.get(f'{kind}_std', np.nan)
    shown = '' if np.isnan(deviation) else f' ± {100 * deviation:.2f}'
    return f'{100 * row[kind]:.2f}{shown}'
