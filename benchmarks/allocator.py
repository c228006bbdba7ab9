"""What keeping freed memory saves of a product with the Hessian.

The setting is one of the process, so each side has processes of its own, in turn::

    python benchmarks/allocator.py --threads 1 2 --json benchmarks/allocator.json
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import torch

from bissl_mm.analysis.json_file import write_json
from bissl_mm.utils.allocator import VARIABLE, keep_freed_memory

#: Network, pixels, pretext images.
SIZES = (('resnet18', 96, 16), ('resnet50', 64, 12))
PRODUCTS = 6


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--threads', type=int, nargs='+', default=[1])
    parser.add_argument('--repeats', type=int, default=3, help='pairs of processes')
    parser.add_argument('--json')
    parser.add_argument('--side', nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def side(model: str, pixels: str, batch: str) -> float:
    """The median time of a product, in seconds; the first is left out."""
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope
    from product_counts import DigitsTask, full_operator
    from product_counts import parse_args as task_args

    keep_freed_memory()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    init_default_scope('mmpretrain')
    sizes = ['--model', model, '--pixels', pixels, '--batch', batch]
    args = task_args([*sizes, '--train-steps', '2', '--head-steps', '2'])
    args.seed = 0
    task = DigitsTask(model, args)
    operator = full_operator(task)
    vector = tuple(torch.randn_like(p) for p in task.model.lower_backbone())
    operator(vector)
    times = []
    for _ in range(PRODUCTS):
        begin = time.perf_counter()
        operator(vector)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measured(size: Sequence, threads: int, keeps: bool) -> float:
    """:func:`side` in a process of its own."""
    environment = dict(
        os.environ, OMP_NUM_THREADS=str(threads), **{VARIABLE: str(int(keeps))}
    )
    command = [sys.executable, __file__, '--side', *map(str, size)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    args = parse_args()
    if args.side:
        print(json.dumps(side(*args.side)))
        return
    records = []
    for threads in args.threads:
        for size in SIZES:
            pairs = [
                [measured(size, threads, keeps) for keeps in (True, False)]
                for _ in range(args.repeats)
            ]
            saved = [1 - kept / freed for kept, freed in pairs]
            records.append(
                dict(
                    size=size,
                    threads=threads,
                    seconds=pairs,
                    saved=statistics.median(saved),
                )
            )
            print(
                f'{" ".join(map(str, size))}, {threads} thread(s): saves '
                f'{100 * statistics.median(saved):.0f}% '
                f'({", ".join(f"{100 * s:.0f}" for s in saved)})',
                flush=True,
            )
            if args.json:
                write_json(
                    args.json,
                    dict(
                        records=records, torch=torch.__version__, cores=os.cpu_count()
                    ),
                )


if __name__ == '__main__':
    main()
