"""Whether the alternation that the estimate of transfer likes best is a better one."""

from collections import defaultdict

import numpy as np
from arms import StageSettings
from regime_tables import USUAL_EPOCHS, Results


def table(results: Results, records: list[dict]) -> str:
    """Test accuracy with the backbone of that alternation, and with the last one of
    the same stage, over the same fine-tunings.

    Args:
        results (Results): Of the regime, whose stages export the last one.
        records (list[dict]): Of ``runs.jsonl``.

    Returns:
        str: A line per stage; empty if none was run.
    """
    taken: dict[tuple, int] = {}
    tests: dict[tuple, list[float]] = defaultdict(list)
    for record in records:
        key = record['key']
        stage = (key.get('set'), key.get('settings'), key.get('unit'))
        if key['kind'] == 'best-stage':
            taken.setdefault(stage, record['alternation'])
        elif key['kind'] == 'best':
            tests[stage].append(record['test'])
    lines = [
        '### The alternation that the estimate likes best',
        '',
        '| set | T | lambda | unit | alternation | test accuracy | of the last | '
        'difference |',
        '| --- ' * 8 + '|',
    ]
    stages = [
        (name, StageSettings.parse(text), unit, (name, text, unit))
        for name, text, unit in set(tests) & set(taken)
    ]
    stages.sort(key=lambda s: (s[0], s[1].num_alternations, s[1].reg_weight, s[2]))
    for name, settings, unit, stage in stages:
        last = results.at('v', settings, name, USUAL_EPOCHS).get(unit)
        mean = float(np.mean(tests[stage]))
        cells = ['–', '–'] if last is None else [f'{last:.1f}', f'{mean - last:+.1f}']
        lines.append(
            f'| {name} | {settings.num_alternations} | {settings.reg_weight:g} | {unit} '
            f'| {taken[stage]} | {mean:.1f} | {" | ".join(cells)} |'
        )
    return '\n'.join(lines) if len(lines) > 4 else ''
