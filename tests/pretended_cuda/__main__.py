"""Runs cases in a process of their own, and says where the host waits::

    PYTHONPATH=.:tests python -m pretended_cuda --solver RecyclingSolver
    PYTHONPATH=.:tests python -m pretended_cuda --json PATH < CASES

``CASES`` is a JSON dict of the arguments of :func:`cases.run_case` by name.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from .library import compiled, install, why_not


def main() -> None:
    parser = argparse.ArgumentParser(prog='pretended_cuda')
    parser.add_argument('--solver', default='LayerwiseCGSolver')
    parser.add_argument('--curvature', default='hessian')
    parser.add_argument('--pretext', default='simclr')
    parser.add_argument('--library', type=Path, help='the compiled guard')
    parser.add_argument('--json', type=Path, help='where the results of CASES go')
    args = parser.parse_args()
    reason = why_not()
    if reason is not None:
        raise SystemExit(f'No device can be pretended: {reason}.')
    torch.set_num_threads(1)
    install(args.library or compiled(Path(tempfile.gettempdir())))
    from . import cases, runs

    # mmengine would print how each weight was initialised.
    MMLogger.get_instance('pretended_cuda', log_level='ERROR')
    if args.json is None:
        hypergradient = dict(solver=dict(type=args.solver), curvature=args.curvature)
        case = dict(pretext=args.pretext, hypergradient=hypergradient)
        print(table(cases.run_case(**case)))
        return
    found = {}
    for name, case in json.load(sys.stdin).items():
        begin = time.process_time()
        run = getattr(runs, case.pop('run'), None) if 'run' in case else cases.run_case
        try:
            found[name] = run(**case)
        except Exception:
            found[name] = dict(error=traceback.format_exc())
        print(f'{name}: {time.process_time() - begin:.1f} s', flush=True)
    args.json.write_text(json.dumps(found))


def table(found: dict) -> str:
    """Waits by phase and place."""
    lines = []
    for phase, places in found['waits'].items():
        own = sum(n for place, n in places.items() if place.startswith('bissl_mm/'))
        lines.append(f'{phase}: {sum(places.values())}, of the package {own}')
        lines += [f'    {n:3} {place}' for place, n in places.items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
    sys.stdout.flush()
    # What was replaced in torch cannot be taken down.
    os._exit(0)
