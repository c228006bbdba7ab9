"""What the channels-last layout of ``ChannelsLastHook`` is worth.

A lower step of SimCLR, and an upper step with five products of the published
solver, in both layouts in turn, from the same weights on the same batch; the
ratio is formed pair by pair::

    python benchmarks/channels_last.py --json channels_last.json
"""

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from lower_step import classifier, optimizer, simclr
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

from bissl_mm.analysis.json_file import write_json
from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.models import BiSSLModel

#: Name -> backbone, its channels, edge of the images, images of a batch.
NETWORKS = {
    'small-resnet': (
        dict(type='bissl_mm.SmallResNet', norm_cfg=dict(type='BN')),
        128,
        32,
        128,
    ),
    'resnet18': (dict(type='ResNet', depth=18, norm_cfg=dict(type='BN')), 512, 64, 32),
}


def build(name: str) -> tuple[BiSSLModel, BiSSLOptimWrapper]:
    backbone, channels, _, _ = NETWORKS[name]
    pretext, downstream = simclr('bissl_mm.SimCLR', 18), classifier(18)
    pretext['neck']['in_channels'] = downstream['head']['in_channels'] = channels
    pretext['backbone'] = downstream['backbone'] = backbone
    torch.manual_seed(0)
    model = BiSSLModel(pretext, downstream)
    model.copy_backbone_to_upper()
    model.train()
    wrapper = BiSSLOptimWrapper(
        optimizer(model.pretext),
        optimizer(model.downstream),
        optimizer(model.downstream),
    )
    return model, wrapper


def steps(name: str, channels_last: bool) -> dict[str, Callable[[], float]]:
    """Timed functions of a layout."""
    model, wrapper = build(name)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    _, _, pixels, number = NETWORKS[name]
    torch.manual_seed(1)
    batch = dict(
        inputs=[torch.randn(number, 3, pixels, pixels) for _ in range(2)],
        data_samples=[None],
    )
    images = dict(
        inputs=list(torch.randn(max(8, number // 4), 3, pixels, pixels)),
        data_samples=[
            DataSample().set_gt_label(i % 10) for i in range(max(8, number // 4))
        ],
    )

    def lower() -> float:
        begin = time.perf_counter()
        wrapper.lower_step(model, copy.copy(batch), seed=0)
        return time.perf_counter() - begin

    def upper() -> float:
        begin = time.perf_counter()
        wrapper.begin_upper_phase(model, [batch], seed=0)
        wrapper.upper_step(model, images, seed=0)
        wrapper.end_upper_phase()
        return time.perf_counter() - begin

    return dict(lower_step=lower, upper_step=upper)


def compare(name: str, repeats: int) -> list[dict[str, object]]:
    plain, last = steps(name, False), steps(name, True)
    rows = []
    for phase in plain:
        plain[phase](), last[phase]()
        pairs = []
        for i in range(repeats):
            order = (plain, last) if i % 2 else (last, plain)
            times = {id(side): side[phase]() for side in order}
            pairs.append((times[id(plain)], times[id(last)]))
        ratios = [a / b for a, b in pairs]
        rows.append(
            dict(
                network=name,
                phase=phase,
                plain_seconds=statistics.median(a for a, _ in pairs),
                channels_last_seconds=statistics.median(b for _, b in pairs),
                times_as_fast=statistics.median(ratios),
                smallest=min(ratios),
                largest=max(ratios),
            )
        )
        row = rows[-1]
        print(
            f'{name}, {phase}: {row["times_as_fast"]:.2f} times as fast '
            f'({row["smallest"]:.2f} to {row["largest"]:.2f})',
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--network', nargs='+', choices=NETWORKS, default=NETWORKS)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--json')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    rows = [row for name in args.network for row in compare(name, args.repeats)]
    if args.json:
        write_json(
            args.json,
            dict(
                rows=rows,
                repeats=args.repeats,
                machine=f'{platform.machine()}, {os.cpu_count()} cores, '
                f'{torch.get_num_threads()} threads, torch {torch.__version__}',
            ),
        )


if __name__ == '__main__':
    main()
