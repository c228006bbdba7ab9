"""Reads the scalars that mmengine's LocalVisBackend wrote."""

import json
from pathlib import Path

Series = dict[str, list[float]]


def read_scalars(work_dir: str) -> dict[str, Series]:
    """All logged quantities of a run, over all its restarts.

    Args:
        work_dir (str): Work folder of the run.

    Returns:
        dict[str, dict]: For each name the lists ``step`` and ``value``, in the
        order of steps. If a restart logged a step again, the later value is
        used. A line that was cut off is left out.
    """
    found: dict[str, dict[int, float]] = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text(errors='replace').splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                # A kill or a full disk cut it off; a restart wrote its step again.
                continue
            if not isinstance(record, dict):
                continue
            step = record.get('step', record.get('iter', 0))
            for name, value in record.items():
                if name not in ('step', 'iter') and isinstance(value, (int, float)):
                    found.setdefault(name, {})[step] = value
    return {
        name: dict(step=sorted(values), value=[values[s] for s in sorted(values)])
        for name, values in found.items()
    }
