"""Reports of backbones: alignment with what fine-tuning made of them, and t-SNE."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...analysis.report import COLOURS, STYLE, add_legend, embed, plt, scatter_pair
from ..definition.experiment import Experiment
from ..queue.store import Store
from ..runs.cell import Cell
from .content import BOLD, Content
from .published import Published, published
from .table import Entry, Table, put_tests

#: Kind of a cosine in a result -> its title.
COSINES = dict(parameters='cosine of parameters', features='cosine of test features')


def content_of_backbones(
    experiment: Experiment, cells: Sequence[Cell], store: Store
) -> Content:
    """Cosines (Table 9 and Figure 3), neighbours, effective dimension, t-SNE.

    Args:
        experiment (Experiment): Its arms and its published table.
        cells (Sequence[Cell]): With their runs of the kind ``'features'``.
        store (Store): With the results.

    Source:
        B.10, arXiv:2410.02387.
    """
    found = {cell: store.result(cell.features or '') for cell in cells}
    missing = sum(result is None for result in found.values())
    lists, pictures = [], []
    tables: list[Table] = []
    if experiment.report['kind'] == 'alignment':
        tables = [
            _cosines(experiment, setting.name, kind, found)
            for setting in experiment.settings
            for kind in COSINES
        ]
        lists.append(('average over the tasks', _averages(tables)))
        pictures.append(('average over the tasks', _bars(tables)))
    for name, key in (
        ('nearest neighbours with the same label [%]', 'neighbours'),
        ('effective dimension', 'effective_dimension'),
    ):
        lists.append((name, _numbers(experiment, found, key)))
    pictures += _planes(experiment, found)
    return Content(
        _about(tables),
        tables,
        lists,
        pictures,
        missing=0 if tables else missing,
        unit='cosines are not there yet' if tables else 'runs are not finished',
        data=dict(
            backbones=[
                dict(
                    setting=cell.setting,
                    task=cell.task,
                    arm=cell.arm,
                    value=cell.value,
                    **{
                        k: v for k, v in result.items() if k not in ('points', 'labels')
                    },
                )
                for cell, result in found.items()
                if result is not None
            ]
        ),
    )


def _about(tables: Sequence[Table]) -> str:
    common = (
        'Test images; the statistics of the norms of each backbone are fitted to the '
        'training images first (B.10.1, arXiv:2410.02387). In t-SNE a colour is a '
        'class, and distances between groups mean nothing.'
    )
    if not tables:
        return 'Features before fine-tuning. ' + common
    return (
        'Cosine, times 100, of a backbone before and after fine-tuning: mean and sample '
        'deviation over the fine-tuned models. '
        + BOLD.format(first=next(iter(tables[0].rows))[0])
        + f' {common}'
    )


def _cosines(
    experiment: Experiment, setting: str, kind: str, found: dict[Cell, Any]
) -> Table:
    numbers: Published = published(experiment.report.get('published'))
    key = next(s.published or '' for s in experiment.settings if s.name == setting)
    arms = {arm.name: arm.published for arm in experiment.arms}
    rows: dict[tuple[str, Any], dict[str, Entry]] = {}
    for cell, result in found.items():
        if cell.setting != setting:
            continue
        # A backbone whose weights are no numbers has no angle.
        values = [100 * v for v in result[kind] if v is not None] if result else []
        rows.setdefault((cell.arm, cell.value), {})[cell.task] = Entry(
            values,
            cell.compared,
            cell.compared - len(values) if result else 0,
            numbers.of(key, arms[cell.arm], cell.task, cell.value, kind),
        )
    title = COSINES[kind] + f', {setting}' * bool(setting)
    columns = [task.name for task in experiment.tasks]
    same_runs = kind != next(iter(COSINES))
    table = Table(title, columns, rows, digits=2, same_runs=same_runs)
    put_tests(table)
    return table


def _averages(tables: Sequence[Table]) -> list[list[str]]:
    """The bars of Figure 3, and in brackets the published ones."""
    rows = [['', *(table.title for table in tables)]]
    names = dict.fromkeys(name for table in tables for name in table.rows)
    for arm, value in names:
        cells = []
        for table in tables:
            entries = list(table.rows.get((arm, value), {}).values())
            ours = [e.mean for e in entries if e.values]
            paper = [e.paper[0] for e in entries if e.paper is not None]
            text = 'not finished'
            if entries and len(ours) == len(entries):
                text = f'{statistics.fmean(ours):.2f}'
            if entries and len(paper) == len(entries):
                text += f' [{statistics.fmean(paper):.2f}]'
            cells.append(text)
        rows.append([_name(arm, value), *cells])
    return rows


def _bars(tables: Sequence[Table]) -> str:
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(2.5 + 2.2 * len(tables), 3.4))
        names = list(dict.fromkeys(name for table in tables for name in table.rows))
        width = 0.8 / len(names)
        for i, name in enumerate(names):
            heights = []
            for table in tables:
                means = [e.mean for e in table.rows.get(name, {}).values() if e.values]
                heights.append(statistics.fmean(means) if means else np.nan)
            axes.bar(
                np.arange(len(tables)) + i * width,
                heights,
                width,
                color=COLOURS[i % len(COLOURS)],
                label=_name(*name),
            )
        axes.set_xticks(
            np.arange(len(tables)) + 0.4 - width / 2, [table.title for table in tables]
        )
        add_legend(axes)
        figure.tight_layout()
        return embed(figure)


def _numbers(
    experiment: Experiment, found: dict[Cell, Any], key: str
) -> list[list[str]]:
    names = [task.name for task in experiment.tasks]
    rows: dict[tuple, dict[str, str]] = {}
    for cell, result in found.items():
        text = 'not finished'
        if result is not None:
            text = '' if result[key] is None else f'{result[key]:.1f}'
        row = rows.setdefault((cell.setting, cell.arm, cell.value), {})
        row[cell.task] = text
    return [
        ['', *names],
        *(
            [
                ', '.join(filter(None, [setting, _name(arm, value)])),
                *(row.get(task, '') for task in names),
            ]
            for (setting, arm, value), row in rows.items()
        ),
    ]


def _planes(experiment: Experiment, found: dict[Cell, Any]) -> list[tuple[str, str]]:
    """t-SNE of all arms side by side, a picture for each setting and task."""
    pictures = []
    for setting in experiment.settings:
        for task in (task.name for task in experiment.tasks):
            shown = {
                _name(cell.arm, cell.value): result
                for cell, result in found.items()
                if (cell.setting, cell.task) == (setting.name, task)
                and result is not None
                and result['labels'] is not None
            }
            if not shown:
                continue
            labels = np.array(next(iter(shown.values()))['labels'])
            pictures.append(
                (
                    ', '.join(filter(None, ['t-SNE', setting.name, task])),
                    scatter_pair(
                        list(shown),
                        [np.array(result['points']) for result in shown.values()],
                        labels,
                        [str(i) for i in range(int(labels.max()) + 1)],
                    ),
                )
            )
    return pictures


def _name(arm: str, value: Any) -> str:
    return arm if value is None else f'{arm}, {value}'
