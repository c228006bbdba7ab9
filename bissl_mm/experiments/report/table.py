"""The table of an experiment: cells with statistics, tests and published numbers."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...analysis.permutation_test import permutation_test
from ...analysis.runs.best_epoch import percent
from ..definition.arms import Arm
from ..definition.experiment import Experiment
from ..definition.setting import Setting
from ..queue.store import Store
from ..runs.cell import Cell
from .published import Published, published

#: Level of the papers' test (B.6, arXiv:2410.02387).
ALPHA = 0.01
TOP5 = 'accuracy/top5'


@dataclass(frozen=True)
class Entry:
    """A cell of the table.

    Attributes:
        values (list[float]): Test metric of each final run that is finished,
            percent. Divergent runs are left out and counted in ``diverged``.
        expected (int): Number of final runs.
        diverged (int): Final runs without a number.
        paper (tuple, optional): Published mean and deviation.
        p_value (float, optional): Against the first arm; None if a run of either
            diverged, or if there are fewer than two.
        is_bold (bool): The highest mean of its column, and above the next one
            by the test.
        chosen (dict, optional): Learning rate and weight decay.
        curves (list[list[float]]): Validation metric of each final run.
        search (list[dict]): ``lr``, ``weight_decay`` and ``val`` of each point.
    """

    values: list[float]
    expected: int
    diverged: int = 0
    paper: tuple[float, float] | None = None
    p_value: float | None = None
    is_bold: bool = False
    chosen: Mapping[str, float] | None = None
    curves: Sequence[Sequence[float]] = ()
    search: Sequence[Mapping[str, float]] = ()

    @property
    def mean(self) -> float:
        """NaN without values."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample deviation; NaN for fewer than two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


@dataclass
class Table:
    """The table of one setting and one metric.

    Attributes:
        title (str): Setting and metric.
        columns (list[str]): Tasks.
        rows (dict): By arm and, where something varies, its value: a dict of
            entries by task.
        digits (int): After the decimal point. Defaults to 1.
        same_runs (bool): Whether its runs are those of the table before it, by
            another measure. Defaults to False.
    """

    title: str
    columns: list[str]
    rows: dict[tuple[str, Any], dict[str, Entry]]
    digits: int = 1
    same_runs: bool = False

    def difference(self, row: tuple[str, Any], task: str) -> float | None:
        """Mean of a row minus that of the first row; None if one is missing."""
        first = next(iter(self.rows.values())).get(task)
        own = self.rows[row].get(task)
        if first is None or own is None or not (first.values and own.values):
            return None
        return own.mean - first.mean

    def average_difference(self, row: tuple[str, Any]) -> float | None:
        """The mean of the differences over the tasks; None if one is missing."""
        found = [self.difference(row, task) for task in self.rows[row]]
        numbers = [d for d in found if d is not None]
        return statistics.fmean(numbers) if len(numbers) == len(found) > 0 else None


def tables_of(
    experiment: Experiment, cells: Sequence[Cell], store: Store
) -> list[Table]:
    """The tables of an experiment, from what is finished.

    Args:
        experiment (Experiment): Its arms and its published table.
        cells (Sequence[Cell]): Of the graph.
        store (Store): With the results.
    """
    numbers = published(experiment.report.get('published'))
    found = []
    for setting in experiment.settings:
        own = [cell for cell in cells if cell.setting == setting.name]
        tables = [_table(experiment, setting, own, store, numbers, False)]
        if _has_top5(own, store):
            tables.append(_table(experiment, setting, own, store, numbers, True))
        found += tables
    return found


def _table(
    experiment: Experiment,
    setting: Setting,
    cells: Sequence[Cell],
    store: Store,
    numbers: Published,
    top5: bool,
) -> Table:
    arms = {arm.name: arm for arm in experiment.arms}
    constant = _constant(cells)
    rows: dict[tuple[str, Any], dict[str, Entry]] = {}
    for cell in cells:
        value = None if cell.arm in constant else cell.value
        row = rows.setdefault((cell.arm, value), {})
        if cell.task in row:
            continue
        if top5 and not cell.metric.startswith('accuracy'):
            continue
        paper = _paper(numbers, setting, arms[cell.arm], cell.task, value, top5)
        row[cell.task] = _entry(cell, store, paper, TOP5 if top5 else cell.metric)
    # Cells are in the order of the tasks, and the first arm may lack some.
    order = list(arms)
    rows = dict(sorted(rows.items(), key=lambda row: order.index(row[0][0])))
    names = sorted({cell.metric for cell in cells})
    metric = TOP5 if top5 else ', '.join(names)
    title = f'{setting.name}, {metric}' if setting.name else metric
    columns = [task.name for task in experiment.tasks]
    table = Table(title, columns, rows, same_runs=top5)
    put_tests(table)
    return table


def _constant(cells: Sequence[Cell]) -> set[str]:
    """Arms on which what varies has no effect: their runs are the same."""
    seeds: dict[tuple[str, str], set] = {}
    for cell in cells:
        seeds.setdefault((cell.arm, cell.task), set()).add(cell.seeds)
    arms = {arm for arm, _ in seeds}
    varied = {arm for (arm, _), found in seeds.items() if len(found) > 1}
    return arms - varied


def _paper(
    numbers: Published, setting: Setting, arm: Arm, task: str, value: Any, top5: bool
) -> tuple[float, float] | None:
    measure = 'top5' if top5 else 'results'
    return numbers.of(setting.published or '', arm.published, task, value, measure)


def _entry(
    cell: Cell, store: Store, paper: tuple[float, float] | None, metric: str
) -> Entry:
    final = [r for r in map(store.result, cell.seeds) if r is not None]
    search = [r for r in map(store.result, cell.search) if r is not None]
    values = [_value(result, cell.metric, metric) for result in final]
    numbers = [v for v in values if v is not None]
    return Entry(
        numbers,
        len(cell.seeds),
        len(values) - len(numbers),
        paper,
        chosen=final[0]['setting'] if final else None,
        curves=[r['curve'] for r in final],
        search=[dict(r['setting'], val=r['val']) for r in search],
    )


def _value(result: dict, main: str, metric: str) -> float | None:
    if metric == main:
        return result['test']
    found = (result.get('metrics') or {}).get(metric)
    return None if found is None else percent(metric, {metric: found})


def _has_top5(cells: Sequence[Cell], store: Store) -> bool:
    for cell in cells:
        for key in cell.seeds:
            result = store.result(key)
            if result is not None and TOP5 in (result.get('metrics') or {}):
                return True
    return False


def put_tests(table: Table) -> None:
    """Put p values and bold marks into a table."""
    rows = list(table.rows)
    for task in table.columns:
        column = [(row, table.rows[row].get(task)) for row in rows]
        known = [(row, entry) for row, entry in column if entry and entry.values]
        if len(known) < 2:
            continue
        # Without values where the first arm has none yet: then nothing is compared.
        first = column[0][1]
        best = sorted(known, key=lambda item: -item[1].mean)[:2]
        p_value = _p_value(best[1][1], best[0][1])
        for row, entry in known:
            changes: dict[str, Any] = {}
            if first is not None and entry is not first:
                changes['p_value'] = _p_value(first, entry)
            if row == best[0][0] and p_value is not None and p_value < ALPHA:
                changes['is_bold'] = True
            table.rows[row][task] = replace(entry, **changes)


def _p_value(first: Entry, second: Entry) -> float | None:
    # Runs that diverged are no draw: the others are the better ones of their arm.
    if first.diverged or second.diverged:
        return None
    if min(len(first.values), len(second.values)) < 2:
        return None
    return permutation_test(first.values, second.values).p_value
