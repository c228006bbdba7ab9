"""The dry run's peaks, for those that the part ``memory`` measures."""

import argparse
from collections.abc import Callable

from bissl_mm.engine.memory.stage import Stage

from .stage import DOWNSTREAM, MIB, PRETEXT, config_of
from .steps import networks

#: Phases that both have.
PHASES = ('at_rest', 'lower', 'begin', 'graph', 'gradients', 'product')


def dry_run(args: argparse.Namespace, say: Callable[[dict], None]) -> None:
    """Peaks of one process, in MiB. No process can do anything else afterwards."""
    if args.one_process:
        say(dict(row='dry run', note='needs a process of its own'))
        return
    for name in networks(args):
        cfg = config_of(name, args.quick)
        sizes = (4, 2) if args.quick else (PRETEXT, DOWNSTREAM)
        loaders = cfg.train_cfg.pretext_dataloader, cfg.train_dataloader
        for loader, size in zip(loaders, sizes):
            loader.pop('total_batch_size')
            loader.batch_size = size
        peaks = Stage(cfg, 1).measure({})
        found = {phase: getattr(peaks, phase) / MIB for phase in PHASES}
        say(dict(row=name, unit='MiB of tensors', **found))


def beside(parts: dict) -> list[dict]:
    """Rows with the measured peaks over those of the dry run, by phase."""
    dry = {row['row']: row for row in parts.get('dry-run', dict(rows=[]))['rows']}
    found = []
    for row in parts.get('memory', dict(rows=[]))['rows']:
        name = row['row'].split(',')[0]
        same = name in dry and row['unit'] == dry[name]['unit']
        if not same or 'Layerwise' not in row['row']:
            continue
        ratios = {
            phase: row[phase] / dry[name][phase]
            for phase in PHASES
            if row.get(phase) is not None
        }
        found.append(dict(row=f'{name}, measured over dry run', **ratios))
    return found
