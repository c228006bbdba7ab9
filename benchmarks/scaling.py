"""Cost of an upper phase against batch, image, backbone and iterations.

Every axis is measured in turn, several times over; the median times are laid
beside the straight line that fits them best in relative terms::

    python benchmarks/scaling.py --json scaling.json --plot scaling.svg
"""

import argparse
import logging
import os
import platform
import statistics
import time

import numpy as np
import torch
from digits_task import DigitsTask
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from phase_sides import Variant, synchronize
from upper_phase import race

from bissl_mm.analysis.json_file import write_json
from bissl_mm.models import pretext_closure

#: The middle of every axis.
BASE = dict(model='resnet18', batch=16, pixels=64, iterations=5)
AXES = dict(
    batch=[8, 16, 32, 48],
    # Below 64 the last stage sees more padding than image.
    pixels=[64, 96, 128, 160],
    model=['resnet18', 'resnet34', 'resnet50', 'resnet101'],
    iterations=[1, 2, 5, 10],
)
LABELS = dict(
    batch='images per batch',
    pixels='pixels an image (side squared)',
    model='seconds of a forward pass (ResNet-18, -34, -50, -101)',
    iterations='iterations of the published solver',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--axis', nargs='+', default=list(AXES), choices=list(AXES))
    parser.add_argument('--steps', type=int, default=2, help='upper steps of a phase')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json')
    parser.add_argument('--plot')
    return parser.parse_args()


class Point:
    """One setting on an axis."""

    def __init__(self, axis: str, value, args: argparse.Namespace) -> None:
        self.value = value
        setting = {**BASE, axis: value}
        self.task = DigitsTask(
            setting['model'],
            argparse.Namespace(
                pixels=setting['pixels'],
                batch=setting['batch'],
                downstream_batch=max(setting['batch'] // 4, 2),
                steps=args.steps,
                train_steps=0,
                head_steps=0,
                lr=0.1,
                device=args.device,
                double=False,
            ),
        )
        self.side = Variant(
            self.task,
            dict(
                solver=dict(type='LayerwiseCGSolver', max_iters=setting['iterations'])
            ),
        )
        self.phases, self.forwards = [], []

    def measure(self) -> None:
        self.phases += race(self.task, [self.side])
        closure = pretext_closure(self.task.model.pretext, self.task.hessian_batch, 0)
        begin = time.perf_counter()
        closure()
        synchronize(self.task.args.device)
        self.forwards.append(time.perf_counter() - begin)

    def x(self, axis: str) -> float:
        if axis == 'model':
            return statistics.median(self.forwards)
        return self.value**2 if axis == 'pixels' else self.value


def measure(axis: str, args: argparse.Namespace) -> dict:
    points = [Point(axis, value, args) for value in AXES[axis]]
    for _ in range(args.repeats + 1):
        for point in points:
            point.measure()
    for point in points:
        # The first round warms up.
        del point.phases[0], point.forwards[0]
    x = np.array([p.x(axis) for p in points], dtype=float)
    y = np.array([statistics.median(p.phases) for p in points])
    # Smallest relative errors: every row is divided by its y.
    slope, start = np.linalg.lstsq(
        np.stack([x / y, 1 / y], axis=1), np.ones_like(y), rcond=None
    )[0]
    off = (start + slope * x) / y - 1
    print(
        f'{axis}: '
        + ', '.join(
            f'{p.value}: {s:.2f} s ({o:+.0%})' for p, s, o in zip(points, y, off)
        )
        + f'; largest distance from the line {abs(off).max():.0%}',
        flush=True,
    )
    return dict(
        axis=axis,
        values=AXES[axis],
        x=x.tolist(),
        seconds=y.tolist(),
        all_seconds=[p.phases for p in points],
        start=start,
        slope=slope,
        largest_distance=abs(off).max(),
    )


def plot(records: list, path: str) -> None:
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(records), squeeze=False, figsize=(4 * len(records), 3.2)
    )
    for axis, record in zip(axes[0], records):
        line = np.array([0, max(record['x'])])
        axis.plot(line, record['start'] + record['slope'] * line, '-', color='0.7')
        axis.plot(record['x'], record['seconds'], 'o')
        axis.set(
            xlabel=LABELS[record['axis']],
            ylabel='s per phase',
            xlim=(0, None),
            ylim=(0, None),
        )
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    init_default_scope('mmpretrain')
    records = [measure(axis, args) for axis in args.axis]
    if args.json:
        write_json(
            args.json,
            dict(
                records=records,
                arguments=vars(args),
                base=BASE,
                threads=torch.get_num_threads(),
                cores=os.cpu_count(),
                machine=platform.processor() or platform.machine(),
                torch=torch.__version__,
            ),
        )
    if args.plot:
        plot(records, args.plot)


if __name__ == '__main__':
    main()
