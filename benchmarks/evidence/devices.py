"""What ran on a core, what on a GPU, and how long stages took there."""

from collections.abc import Sequence

import numpy as np


def seconds(records: list[dict], name: str, arm: str, units: Sequence[int]) -> str:
    """Time of the stages that an arm's runs came from, the mean over units: processor
    time of those on a core, and after a slash wall time of those on a shared GPU. (A
    run on a core may have been paused.)"""
    keys = [r['key'] for r in records]
    used = {
        k['settings']
        for k in keys
        if k['kind'] in ('final', 'common') and k['set'] == name and k['arm'] == arm
    }
    found: dict[bool, list[float]] = {False: [], True: []}
    for r in records:
        key = r['key']
        if (
            key['kind'] == 'stage'
            and key['set'] == name
            and key['arm'] == arm
            and key['settings'] in used
            and key['unit'] in units
        ):
            time = 'seconds' if 'device' in r else 'cpu_seconds'
            # The first stages have no processor time.
            found['device' in r] += [r[time]] if time in r else []
    core, gpu = (f'{np.mean(v):.0f}' if v else '–' for v in found.values())
    return f'{core} / {gpu}'


def places(
    records: list[dict], kind: str, name: str, arm: str, units: Sequence[int]
) -> str:
    """How many fine-tunings of a cell were run on a core, and how many on a GPU."""
    found = [
        'device' in r
        for r in records
        if (r['key']['kind'], r['key'].get('set'), r['key'].get('arm'))
        == (kind, name, arm)
        and r['key']['unit'] in units
    ]
    return f'{len(found) - sum(found)} / {sum(found)}'
