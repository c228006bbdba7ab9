"""The wide search: every learning rate on all units, with three seeds each."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

#: (learning rate, weight decay)
Setting = tuple[float, float]
Cells = dict[tuple[str, str], dict[Setting, list[dict]]]


def cells(records: list[dict]) -> Cells:
    """Records by set and arm, and then by setting; of arms that have all runs.

    An arm has all if each of its settings has the units and seeds that any setting
    of its set has.
    """
    found: Cells = defaultdict(lambda: defaultdict(list))
    wanted: dict[str, set[tuple]] = defaultdict(set)
    for record in records:
        key = record['key']
        if key['kind'] == 'wide':
            setting = (key['lr'], key['weight_decay'])
            found[key['set'], key['arm']][setting].append(record)
            wanted[key['set']].add((setting, key['unit'], key['seed']))
    return {
        (name, arm): settings
        for (name, arm), settings in found.items()
        if sum(map(len, settings.values())) == len(wanted[name])
    }


def chosen(found: Cells) -> dict[tuple[str, str], Setting]:
    """The setting with the highest mean validation accuracy over all its runs."""
    return {
        # NaN, of a run that diverged, is the least.
        arm: max(settings, key=lambda s: np.nan_to_num(_mean(settings[s], 'val')))
        for arm, settings in found.items()
    }


def of_tables(records: list[dict]) -> list[dict]:
    """The records without fine-tunings of the wide search at a setting that their arm
    did not choose, and without those of arms that are not whole."""
    found = cells(records)
    kept = [
        record
        for arm, setting in chosen(found).items()
        for record in found[arm][setting]
    ]
    return [r for r in records if r['key']['kind'] != 'wide'] + kept


def grid(records: list[dict], name: str, arms: Sequence[str]) -> str:
    """Validation and test accuracy of each arm by learning rate.

    Args:
        records (list[dict]): Of all runs.
        name (str): Of the set.
        arms (Sequence[str]): In their order.
    """
    found = cells(records)
    best = chosen(found)
    settings = sorted({s for key, own in found.items() if key[0] == name for s in own})
    lines = [
        f'| validation, test | {" | ".join(f"{lr:g}" for lr, _ in settings)} |',
        '| --- ' * (len(settings) + 1) + '|',
    ]
    for arm in arms:
        own = found.get((name, arm))
        if own is None:
            continue
        texts = [
            f'{_mean(own[s], "val"):.1f}, {_mean(own[s], "test"):.1f}' for s in settings
        ]
        at = settings.index(best[name, arm])
        texts[at] = f'**{texts[at]}**'
        lines.append(f'| {arm} | {" | ".join(texts)} |')
    return '\n'.join(lines)


def _mean(records: list[dict], which: str) -> float:
    return float(np.mean([record[which] for record in records]))
