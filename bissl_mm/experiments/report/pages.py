"""Writes the report of an experiment: Markdown, HTML and JSON."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ...analysis.json_file import write_json
from ...analysis.permutation_test import MAX_EXACT, NUM_RESAMPLES
from ...utils.files import atomic_file
from ..definition.experiment import Experiment
from ..queue.node import Graph
from ..queue.store import Store
from ..runs.cell import Cell
from .content import BOLD, Content
from .published import published
from .table import ALPHA, Entry, Table, tables_of


def write_reports(
    experiment: Experiment, cells: Sequence[Cell], graph: Graph, store: Store
) -> list[Path]:
    """Write the report as ``.md``, ``.html`` and ``.json``, named as the experiment.

    Args:
        experiment (Experiment): What it is.
        cells (Sequence[Cell]): Of its graph.
        graph (Graph): All runs.
        store (Store): With the results, also if some are missing.

    Returns:
        list[Path]: The files.
    """
    # matplotlib takes a second.
    from ...analysis.report import write_report

    content = _content(experiment, cells, graph, store)
    notes = list(_notes(experiment, content))
    # A storage may have the runs of several experiments.
    paths = [
        store.folder / f'{experiment.name}.{end}' for end in ('md', 'html', 'json')
    ]
    with atomic_file(paths[0]) as file:
        file.write('\n'.join(_markdown(experiment, content, notes)) + '\n')
    write_report(
        str(paths[1]),
        'experiment.html',
        title=_title(experiment),
        notes=notes,
        tables=[(table.title, _html_rows(table)) for table in content.tables]
        + content.lists,
        pictures=content.pictures,
    )
    write_json(str(paths[2]), _plain(experiment, content, notes))
    return paths


def _content(
    experiment: Experiment, cells: Sequence[Cell], graph: Graph, store: Store
) -> Content:
    kind = experiment.report['kind']
    if kind == 'time':
        from .hours import content_of_time

        return content_of_time(experiment, graph, store)
    if kind in ('alignment', 'features'):
        from .backbones import content_of_backbones

        return content_of_backbones(experiment, cells, store)
    from .pictures import pictures_of

    tables = tables_of(experiment, cells, store)
    about = (
        'Mean and sample deviation over the seeds of fine-tuning, test data, percent. '
        + BOLD.format(first=next(iter(tables[0].rows))[0])
    )
    return Content(about, tables, pictures=pictures_of(tables))


def _title(experiment: Experiment) -> str:
    preset = f' (preset {experiment.preset})' if experiment.preset else ''
    return f'{experiment.name}: {experiment.title}{preset}'


def _notes(experiment: Experiment, content: Content) -> Iterator[str]:
    if experiment.preset == 'small':
        yield (
            'Made with --preset small: narrow networks after a few steps. These '
            'numbers say that the file runs, and nothing else.'
        )
    yield content.about
    numbers = published(experiment.report.get('published'))
    if numbers.none:
        yield f'{numbers.source}: no numbers printed in the text ({numbers.none}).'
    elif numbers.source:
        yield f'In brackets: the published numbers, {numbers.source}.'
    entries = [
        entry
        for table in content.tables
        if not table.same_runs
        for row in table.rows.values()
        for entry in row.values()
    ]
    missing = sum(e.expected - len(e.values) - e.diverged for e in entries)
    if missing or content.missing:
        yield f'{missing + content.missing} {content.unit}; the command run goes on.'
    diverged = sum(e.diverged for e in entries)
    if diverged:
        yield (
            f'{diverged} final runs gave no number and are left out of the means, which '
            'are too high for it. Arms that have them get no p value and no bold print.'
        )
    yield from _notes_of_tests(experiment, entries)
    if experiment.report.get('note'):
        yield str(experiment.report['note'])


def _notes_of_tests(experiment: Experiment, entries: Sequence[Entry]) -> Iterator[str]:
    """What the p values of a report are worth."""
    most = max((len(e.values) for e in entries), default=0)
    assignments = math.comb(2 * most, most)
    if most > 1 and 2 / assignments >= ALPHA:
        yield (
            f'With {most} seeds of each arm the test cannot give a p value below '
            f'{2 / assignments:.2g}, so nothing can be bold.'
        )
    if assignments > MAX_EXACT:
        yield (
            f'The p values are exact up to {MAX_EXACT:,} assignments of the runs to '
            f'both arms. Of more, {NUM_RESAMPLES:,} are drawn with a fixed seed.'
        )
    of_seeds = experiment.report['kind'] in ('table', 'figure')
    if of_seeds and experiment.stages > 1 and most > 1:
        yield (
            'The test treats fine-tunings as independent. Those of one of the '
            f'{experiment.stages} stages are not, and all stages share one pretraining, '
            'so p values are too small.'
        )


def _markdown(
    experiment: Experiment, content: Content, notes: Sequence[str]
) -> Iterator[str]:
    yield f'# {_title(experiment)}'
    for note in notes:
        yield ''
        yield note
    texts = [(table.title, _rows(table, '**', '**')) for table in content.tables]
    for title, (head, *rows) in [*texts, *content.lists]:
        yield ''
        yield f'## {title}'
        yield ''
        yield '| ' + ' | '.join(head) + ' |'
        yield '| --- ' + '| ---: ' * (len(head) - 1) + '|'
        for row in rows:
            yield '| ' + ' | '.join(row) + ' |'


def _rows(table: Table, begin: str, end: str) -> list[list[str]]:
    """The table as text, its head first."""
    varies = any(value is not None for _, value in table.rows)
    rows = [['', *([''] if varies else []), *table.columns, 'average difference']]
    for (arm, value), entries in table.rows.items():
        shown = ['' if value is None else str(value)] if varies else []
        cells = [
            _cell(
                entries.get(task),
                table.difference((arm, value), task),
                (begin, end),
                table.digits,
            )
            for task in table.columns
        ]
        average = table.average_difference((arm, value))
        is_first = (arm, value) == next(iter(table.rows))
        last = '' if average is None or is_first else f'{average:+.{table.digits}f}'
        rows.append([arm, *shown, *cells, last])
    return rows


def _html_rows(table: Table) -> list[list[Markup]]:
    """The same for a page; names of arms and tasks are text."""
    return [
        [
            escape(cell).replace('\x01', Markup('<b>')).replace('\x02', Markup('</b>'))
            for cell in row
        ]
        for row in _rows(table, '\x01', '\x02')
    ]


def _cell(
    entry: Entry | None, difference: float | None, bold: tuple[str, str], digits: int
) -> str:
    if entry is None:
        return ''
    # Of runs that all ended there is no more to come.
    ended = len(entry.values) + entry.diverged
    text = 'not finished' if ended < entry.expected else 'no number'
    if entry.values:
        std = '' if math.isnan(entry.std) else f' ± {entry.std:.{digits}f}'
        text = f'{entry.mean:.{digits}f}{std}'
        if entry.is_bold:
            text = text.join(bold)
        if len(entry.values) < entry.expected:
            text += f', {len(entry.values)} of {entry.expected} runs'
        if entry.p_value is not None and difference is not None:
            text += f' ({difference:+.{digits}f}, p = {entry.p_value:.2g})'
    if entry.paper is not None:
        text += f' [{entry.paper[0]} ± {entry.paper[1]}]'
    return text


def _plain(
    experiment: Experiment, content: Content, notes: Sequence[str]
) -> dict[str, Any]:
    numbers = published(experiment.report.get('published'))
    return dict(
        experiment=experiment.name,
        title=experiment.title,
        preset=experiment.preset,
        published=numbers.source or None,
        no_numbers=numbers.none or None,
        notes=list(notes),
        tables=[
            dict(
                title=table.title,
                rows=[
                    dict(
                        arm=arm,
                        value=value,
                        average_difference=table.average_difference((arm, value)),
                        tasks={
                            task: dict(
                                asdict(entry),
                                mean=entry.mean,
                                std=entry.std,
                                difference=table.difference((arm, value), task),
                            )
                            for task, entry in entries.items()
                        },
                    )
                    for (arm, value), entries in table.rows.items()
                ],
            )
            for table in content.tables
        ],
        **content.data,
    )
