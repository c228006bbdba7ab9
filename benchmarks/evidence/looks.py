"""Fine-tunings that were made before the search of their arm was whole."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

Setting = tuple[float, float]


def looks(records: list[dict], groups: Sequence[Sequence[int]]) -> list[dict]:
    """Those at another setting than the one that the most units of their group have.

    Args:
        records (list[dict]): Of ``runs.jsonl``.
        groups (Sequence[Sequence[int]]): Units of one protocol each.

    Raises:
        ValueError: If two settings of an arm have as many units.
    """
    units: dict[tuple, dict[Setting, set[int]]] = defaultdict(lambda: defaultdict(set))
    keyed = []
    for record in records:
        key = record['key']
        if key['kind'] == 'final':
            group = next(i for i, g in enumerate(groups) if key['unit'] in g)
            arm = (key['arm'], key['settings'], key['set'], group)
            setting = (key['lr'], key['weight_decay'])
            units[arm][setting].add(key['unit'])
            keyed.append((arm, setting, record))
    of_tables = {}
    for arm, settings in units.items():
        most = max(map(len, settings.values()))
        found = [s for s, had in settings.items() if len(had) == most]
        if len(found) > 1:
            raise ValueError(f'{arm}: {found} have {most} units each.')
        of_tables[arm] = found[0]
    return [r for arm, setting, r in keyed if setting != of_tables[arm]]


def text(found: list[dict]) -> str:
    """A table of them; empty without."""
    tests: dict[tuple, list[float]] = defaultdict(list)
    for record in found:
        key = record['key']
        row = (key['set'], key['arm'], key['lr'], key['weight_decay'], key['unit'])
        tests[row].append(record['test'])
    lines = [
        '## Looks before a search was whole',
        '',
        'These fine-tunings are in no table above: their setting is that of a search over '
        'fewer units, and a later search took another.',
        '',
        '| set | arm | learning rate | weight decay | unit | test accuracy | fine-tunings |',
        '| --- ' * 7 + '|',
    ]
    lines += [
        f'| {" | ".join(map(str, row))} | {np.mean(values):.1f} | {len(values)} |'
        for row, values in sorted(tests.items())
    ]
    return '\n'.join(lines) if tests else ''
