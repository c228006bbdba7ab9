"""The tables of PROTOCOL.md from the records of its runs::

    python benchmarks/evidence/tables.py > benchmarks/evidence/tables.md

A set that was run on the first six pretrainings and on the six after them has a table
for each, and one for both. Units are compared in pairs. Beside the exact sign-flip test
over units stands a permutation test over all runs, which takes runs of one unit for
independent.
"""

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

import best_tables  # noqa: E402
import looks  # noqa: E402
import regime_tables  # noqa: E402
import wide_tables  # noqa: E402
from arms import ARMS  # noqa: E402
from devices import places, seconds  # noqa: E402
from regime import chosen  # noqa: E402

from bissl_mm.analysis.permutation_test import permutation_test, sign_flip_test  # noqa: E402

HERE = Path(__file__).parent
#: Pretrainings of one protocol; see its changes.
GROUPS = (range(6), range(6, 12))
Runs = dict[str, dict[int, list[float]]]
#: Of the sets that are no classification.
METRICS = dict(bccd='AP50', camvid='mIoU')
LONGER = 'A longer stage'
SECTIONS = {
    'Arms': ARMS,
    'The implicit Jacobian': (
        'discard',
        'v',
        'published',
        'gn-0.1',
        'gn-0.3',
        'gn-1',
        'v-time',
        'discard-time',
    ),
    'The thrifty structure': ('v', 'thrifty', 'thrifty-R'),
    LONGER: ('FT', 'further-long', 'twice-long', 'twice-2x', 'v', 'v-long'),
}


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95% interval of a mean, by Student's t."""
    n = len(differences)
    half = stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / math.sqrt(n)
    return np.mean(differences) - half, np.mean(differences) + half


def read(path: Path) -> list[dict]:
    """All records; of a run that was repeated the first."""
    found = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        found.setdefault(json.dumps(record['key'], sort_keys=True), record)
    return list(found.values())


def final_runs(records: list[dict], kind: str = 'final') -> dict[str, Runs]:
    """Test accuracies by set, arm and unit."""
    found: dict[str, Runs] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in records:
        key = record['key']
        if key['kind'] == kind:
            found[key['set']][key['arm']][key['unit']].append(record['test'])
    return found


def by_group(runs: Runs) -> dict[str, Runs]:
    """The runs of each group of units, and after them those of all groups; keys
    say which, and are empty if there is one group."""
    units = {unit for found in runs.values() for unit in found}
    groups = [group for group in GROUPS if units & set(group)]
    if len(groups) < 2:
        return {'': runs}
    both = range(groups[0][0], groups[-1][-1] + 1)
    # Arms of one group alone are not beside those of all groups.
    needed = [*([group] for group in groups), groups]
    return {
        f', units {units[0]} to {units[-1]}': {
            arm: {u: tests for u, tests in found.items() if u in units}
            for arm, found in runs.items()
            if all(set(found) & set(group) for group in need)
        }
        for units, need in zip((*groups, both), needed)
    }


def compare(runs: Runs, arm: str, other: str) -> str:
    """Arm minus other: mean, interval and both p values."""
    units = sorted(set(runs[arm]) & set(runs[other]))
    differences = [
        float(np.mean(runs[arm][u]) - np.mean(runs[other][u])) for u in units
    ]
    if len(units) < 2:
        return f'{np.mean(differences):+.1f} | – | – | –' if units else '– | – | – | –'
    low, high = interval(differences)
    pooled = [sum((runs[a][u] for u in units), []) for a in (other, arm)]
    return (
        f'{np.mean(differences):+.1f} | {low:+.1f} to {high:+.1f} | '
        f'{sign_flip_test(differences, sum(pooled, [])).p_value:.3f} | '
        f'{_small(permutation_test(*pooled).p_value)}'
    )


def _small(p: float) -> str:
    """Of a sampled test: no p is 0."""
    return f'{p:.4f}' if p >= 0.0001 else '< 0.0001'


def table_of_arms(
    records: list[dict],
    name: str,
    runs: Runs,
    arms: Sequence[str],
    arm: str = 'v',
    group: str = '',
    kind: str = 'final',
) -> str:
    """Some arms of a set, and how far ``arm`` is ahead of each.

    Args:
        records (list[dict]): Of all runs.
        name (str): Of the set.
        runs (dict): Its test accuracies by arm and unit.
        arms (Sequence[str]): Those of the table, in its order.
        arm (str): Which one the others are compared with.
        group (str): For the title.
        kind (str): Of the fine-tunings in ``runs``.
    """
    lines = [
        f'### {name}{group}',
        '',
        f'| arm | test {METRICS.get(name, "accuracy")} | units | fine-tunings: core / '
        f'GPU | stage, s: core / GPU | {arm} minus it | 95% interval | p, units | '
        'p, all runs |',
        '| --- ' * 9 + '|',
    ]
    for other in arms:
        if other not in runs:
            continue
        means = [np.mean(values) for values in runs[other].values()]
        spread = f' ± {np.std(means, ddof=1):.1f}' if len(means) > 1 else ''
        against = compare(runs, arm, other) if other != arm and arm in runs else '| | |'
        lines.append(
            f'| {other} | {np.mean(means):.1f}{spread} | {len(means)} | '
            f'{places(records, kind, name, other, list(runs[other]))} | '
            f'{seconds(records, name, other, list(runs[other]))} | {against} |'
        )
    return '\n'.join(lines)


def table_of_estimates(records: list[dict], name: str, units: Runs) -> str:
    """The estimate of transfer of the backbones that a set's tables fine-tune,
    beside their test accuracy, over the units that have both."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    keys = [r['key'] for r in records]
    used = {
        (key['arm'], key['settings'])
        for key in keys
        if key['kind'] == 'final' and key['set'] == name
    }
    usual = regime_tables.USUAL_EPOCHS
    for record in records:
        key = record['key']
        if key['kind'] != 'transfer' or key['set'] != name:
            continue
        arm = key.get('arm', 'FT')
        if (arm, key.get('settings', '')) in used and key.get('epochs', usual) == usual:
            found[arm][key['unit']] = record['neighbours']
    lines = [
        f'### {name}',
        '',
        '| arm | neighbours | test accuracy | units |',
        '| --- ' * 4 + '|',
    ]
    for arm in ARMS:
        both = sorted(set(found[arm]) & set(units.get(arm, {})))
        if both:
            estimate = np.mean([found[arm][unit] for unit in both])
            test = np.mean([np.mean(units[arm][unit]) for unit in both])
            lines.append(f'| {arm} | {estimate:.1f} | {test:.1f} | {len(both)} |')
    return '\n'.join(lines) if len(lines) > 4 else ''


def table_of_choices(records: list[dict]) -> str:
    """Validation accuracy of each setting of the stage that was tried."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        key = record['key']
        if key['kind'] == 'choose':
            found[key['settings']][key['set']].append(record['val'])
    sets = sorted({name for values in found.values() for name in values})
    lines = [
        '## Choice of the settings (validation)',
        '',
        f'| setting | {" | ".join(sets)} | mean | runs |',
        '| --- ' * (len(sets) + 3) + '|',
    ]

    def mean(values: dict[str, list[float]]) -> float:
        return float(np.mean([v for name in sets for v in values[name]]))

    for setting, values in sorted(found.items(), key=lambda s: -mean(s[1])):
        cells = [
            f'{np.mean(values[name]):.1f}' if values[name] else '–' for name in sets
        ]
        lines.append(
            f'| {setting} | {" | ".join(cells)} | {mean(values):.1f} '
            f'| {sum(map(len, values.values()))} |'
        )
    return '\n'.join(lines)


def print_wide_search(records: list[dict]) -> None:
    """The arms at the learning rate that each has the most with on all units."""
    kept = wide_tables.of_tables(records)
    runs = final_runs(kept, 'wide')
    if runs:
        print(
            '## A wide search\n\nEach arm at the learning rate that has its highest '
            'mean validation accuracy over all units and three seeds each, and below '
            'it all rates.\n'
        )
    for name, found in runs.items():
        for group, part in by_group(found).items():
            print(table_of_arms(kept, name, part, ARMS, 'v', group, 'wide') + '\n')
        print(wide_tables.grid(records, name, ARMS) + '\n')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--runs', type=Path, default=HERE / 'runs.jsonl')
    parser.add_argument('--pictures', type=Path, default=HERE)
    args = parser.parse_args()
    records = read(args.runs)
    print(
        '# Tables\n\nMade by `tables.py` from `runs.jsonl`; see '
        'PROTOCOL.md. Times are processor time on one core, and wall time on a GPU '
        'that 16 runs shared.\n'
    )
    if any(r['key']['kind'] == 'choose' for r in records):
        print(table_of_choices(records) + '\n')
    early = looks.looks(records, GROUPS)
    records = [record for record in records if record not in early]
    runs = final_runs(records)
    for title, arms in SECTIONS.items():
        of_others = {'v', 'discard', 'published'}
        if title != 'Arms':
            of_others |= {'FT', 'twice-2x'}
        shown = {
            name: found
            for name, found in runs.items()
            if set(found) & (set(arms) - of_others)
        }
        arm = 'v-long' if title == LONGER else 'v'
        if shown:
            print(f'## {title}\n')
        for name, found in shown.items():
            for group, part in by_group(found).items():
                # Some sections are of arms that one group of units has.
                if set(part) & set(arms) - {'FT', 'twice-2x', 'v'}:
                    print(table_of_arms(records, name, part, arms, arm, group) + '\n')
    common = final_runs(records, 'common')
    if common:
        print(
            '## At one setting of fine-tuning\n\nLearning rate 0.08 and weight decay '
            '0.002 for all arms, without a search.\n'
        )
    for name, found in common.items():
        for group, part in by_group(found).items():
            text = table_of_arms(records, name, part, ARMS, 'v', group, 'common')
            print(text + '\n')
    print_wide_search(records)
    estimates = [table_of_estimates(records, *item) for item in runs.items()]
    if any(estimates):
        print('## The estimate of transfer of the backbones\n')
        print('\n\n'.join(filter(None, estimates)) + '\n')
    if early:
        print(looks.text(early) + '\n')
    frozen = chosen(records)
    if frozen and any(r['key']['kind'] == 'regime' for r in records):
        results = regime_tables.Results(records, frozen)
        parts = (regime_tables.text(results), best_tables.table(results, records))
        print('\n\n'.join(filter(None, parts)))
        for path in regime_tables.heat_maps(results, args.pictures):
            print(f'\n![gain by T and lambda]({path.name})')


if __name__ == '__main__':
    main()
