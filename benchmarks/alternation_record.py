"""What is written down of a race of whole alternations."""

import statistics

from alternation_sides import PAPER

from bissl_mm.hypergradient.linalg.vectors import norm, subtract

PHASES = ('lower', 'upper')
#: Lower and upper steps of the thrifty structure, and the alternations of a stage
#: by its structure: paper and thesis.
THRIFTY, STAGE = (5, 4), {PAPER: 500, (5, 4): 200}


def record_of(name: str, found: dict, times: list[dict], plan: tuple | None) -> dict:
    """What is written down of a side.

    ``speedup`` and ``upper_speedup`` are how many times as fast as the published
    scheme an alternation and its upper phase are; ``over_first_order`` is the time
    of the alternation over that of first order.
    """

    def ratios(other: str, *phases: str) -> list[float]:
        return [
            sum(t[other][p] for p in phases) / sum(t[name][p] for p in phases)
            for t in times
        ]

    both = ratios('published', 'lower', 'upper')
    own, base = found[name], found['published']
    result = dict(
        variant=name,
        speedup=statistics.median(both),
        speedups=both,
        upper_speedup=statistics.median(ratios('published', 'upper')),
        over_first_order=1 / statistics.median(ratios('first-order', 'lower', 'upper')),
        seconds={p: statistics.median(t[name][p] for t in times) for p in PHASES},
        peak_bytes=own['peak_bytes'],
        peak_memory_ratio=max(own['peak_bytes'].values())
        / max(base['peak_bytes'].values()),
        settings=None if plan is None else plan[0],
        structure=own['structure'],
    )
    if 'true_residual' not in own:
        return result
    for key in ('true_residual', 'products_per_step'):
        result[key] = own[key]
    if own['structure'][0] == base['structure'][0]:
        reference = base['kept'][0][1]
        difference = norm(subtract(own['kept'][0][1], reference))
        result['rel_diff'] = (difference / norm(reference)).item()
    if name.endswith('thrifty'):
        result['stage_speedup'] = result['speedup'] * STAGE[PAPER] / STAGE[THRIFTY]
    return result


def report(record: dict) -> str:
    text = (
        f'{record["model"]} {record["variant"]:>25}: '
        f'{sum(record["seconds"].values()):.3g} s, {record["speedup"]:.2f} times as '
        f'fast ({min(record["speedups"]):.2f} to {max(record["speedups"]):.2f}), upper '
        f'phase {record["upper_speedup"]:.2f} times, {record["over_first_order"]:.2f} '
        f'times first order, memory {record["peak_memory_ratio"]:.2f}'
    )
    if 'true_residual' in record:
        text += (
            f', residual {record["true_residual"]:.3g}, '
            f'{record["products_per_step"]:.2f} products a step'
        )
    if 'rel_diff' in record:
        text += f', v_IJ {record["rel_diff"]:.2g} off'
    if 'stage_speedup' in record:
        text += f'; the stage {record["stage_speedup"]:.3g} times'
    return text
