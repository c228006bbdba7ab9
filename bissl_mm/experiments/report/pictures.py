"""Pictures of a report: results over what varies, curves, points of the search."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...analysis.report import COLOURS, STYLE, add_legend, embed, plt
from .table import Entry, Table


def pictures_of(tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Titles and pictures, each as a data address.

    Args:
        tables (Sequence[Table]): Of a report. The curves and the search are
            those of the main metric.
    """
    found = []
    for table in tables:
        if any(value is not None for _, value in table.rows):
            found.append((table.title, _over_values(table)))
    for table in tables:
        if table.title.endswith('top5'):
            continue
        for task in table.columns:
            entries = [
                (_name(row), entries[task])
                for row, entries in table.rows.items()
                if task in entries and entries[task].values
            ]
            if entries:
                found.append((f'{table.title}, {task}', _runs(entries)))
    return found


def _over_values(table: Table) -> str:
    """A panel for each task: mean and deviation over the values."""
    # A table of top-5 has no entry for a set that is measured by mAP.
    tasks = [
        task
        for task in table.columns
        if any(task in entries for entries in table.rows.values())
    ]
    with plt.rc_context(STYLE):
        number = len(tasks)
        figure, grid = plt.subplots(
            1, number, figsize=(4.4 * number, 3.2), squeeze=False
        )
        values = list(dict.fromkeys(v for _, v in table.rows if v is not None))
        for axes, task in zip(grid[0], tasks, strict=True):
            for colour, arm in zip(
                _colours(), dict.fromkeys(a for a, _ in table.rows), strict=False
            ):
                found = [
                    (v, entries[task])
                    for (a, v), entries in table.rows.items()
                    if a == arm and task in entries and entries[task].values
                ]
                points = [(values.index(v), e) for v, e in found if v is not None]
                if points:
                    _errors(axes, points, colour, arm)
                for entry in (e for v, e in found if v is None):
                    axes.axhline(entry.mean, color=colour, linestyle='--', label=arm)
            axes.set_xticks(range(len(values)), [str(v) for v in values])
            axes.set_title(task)
            add_legend(axes)
        figure.tight_layout()
        return embed(figure)


def _errors(axes, points: Sequence[tuple[int, Entry]], colour: str, arm: str) -> None:
    axes.errorbar(
        [x for x, _ in points],
        [e.mean for _, e in points],
        yerr=np.nan_to_num([e.std for _, e in points]),
        color=colour,
        marker='o',
        capsize=3,
        label=arm,
    )


def _runs(entries: Sequence[tuple[str, Entry]]) -> str:
    """Validation over the evaluations of the final runs; beside it the search."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
        for colour, (name, entry) in zip(_colours(), entries, strict=False):
            for i, curve in enumerate(entry.curves):
                known = np.array([np.nan if v is None else v for v in curve], float)
                label = name if i == 0 else None
                left.plot(
                    range(1, len(known) + 1),
                    known,
                    color=colour,
                    alpha=0.5,
                    label=label,
                )
            points = [p for p in entry.search if p['val'] is not None]
            if points:
                best = max(p['val'] for p in points) or 1.0
                right.scatter(
                    [p['lr'] for p in points],
                    [p['weight_decay'] for p in points],
                    s=[10 + 90 * max(0.0, p['val'] / best) ** 4 for p in points],
                    color=colour,
                    alpha=0.6,
                )
        left.set_title('validation, each final run')
        left.set_xlabel('evaluation')
        add_legend(left)
        right.set_title('search: larger is better')
        right.set_xlabel('learning rate')
        right.set_ylabel('weight decay')
        right.set_xscale('log')
        right.set_yscale('log')
        figure.tight_layout()
        return embed(figure)


def _name(row: tuple) -> str:
    arm, value = row
    return arm if value is None else f'{arm}, {value}'


def _colours() -> Iterator[str]:
    yield from COLOURS
    yield from (f'C{i}' for i in range(10))
