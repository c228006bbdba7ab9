"""What a lower step costs over mmpretrain's own SimCLR step.

Both steps are taken in turn on the same batch, from the same weights, with
the same optimizer and clipping; the ratio is formed pair by pair. One upper
phase with the published solver is timed beside them::

    python benchmarks/lower_step.py --json lower_step.json
"""

import argparse
import copy
import os
import platform
import statistics
import time

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope

from bissl_mm.analysis.json_file import write_json
from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.models import BiSSLModel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--depth', type=int, default=18)
    parser.add_argument('--pixels', type=int, default=64)
    parser.add_argument(
        '--batch',
        type=int,
        default=64,
        help='images of a pretext batch, two views each',
    )
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--upper-steps', type=int, default=8)
    parser.add_argument('--json')
    return parser.parse_args()


def simclr(kind: str, depth: int) -> dict:
    width = 512 if depth < 50 else 2048
    return dict(
        type=kind,
        backbone=dict(type='ResNet', depth=depth, norm_cfg=dict(type='BN')),
        neck=dict(
            type='NonLinearNeck',
            in_channels=width,
            hid_channels=256,
            out_channels=256,
            num_layers=3,
            with_bias=True,
            with_last_bn=False,
            norm_cfg=dict(type='BN1d'),
        ),
        head=dict(
            type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
        ),
    )


def classifier(depth: int) -> dict:
    return dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=depth, norm_cfg=dict(type='BN')),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=10,
            in_channels=512 if depth < 50 else 2048,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def optimizer(model) -> OptimWrapper:
    return OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4),
        clip_grad=dict(max_norm=10.0),
    )


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    stock = MODELS.build(simclr('SimCLR', args.depth))
    model = BiSSLModel(simclr('bissl_mm.SimCLR', args.depth), classifier(args.depth))
    model.pretext.load_state_dict(stock.state_dict())
    stock_optimizer = optimizer(stock)
    wrapper = BiSSLOptimWrapper(
        optimizer(model.pretext),
        optimizer(model.downstream),
        optimizer(model.downstream),
    )
    model.copy_backbone_to_upper()
    stock.train()
    model.train()
    views = [torch.randn(args.batch, 3, args.pixels, args.pixels) for _ in range(2)]
    batch = dict(inputs=views, data_samples=[None])

    def timed(step) -> float:
        begin = time.perf_counter()
        step()
        return time.perf_counter() - begin

    def stock_step() -> None:
        stock.train_step(copy.copy(batch), stock_optimizer)

    def lower_step() -> None:
        wrapper.lower_step(model, copy.copy(batch), seed=0)

    for step in (stock_step, lower_step) * 2:
        step()
    pairs = []
    for i in range(args.repeats):
        first, second = (stock_step, lower_step) if i % 2 else (lower_step, stock_step)
        times = {first: timed(first)}
        times[second] = timed(second)
        pairs.append((times[stock_step], times[lower_step]))
    from mmpretrain.structures import DataSample

    images = dict(
        inputs=list(torch.randn(args.batch, 3, args.pixels, args.pixels)),
        data_samples=[DataSample().set_gt_label(i % 10) for i in range(args.batch)],
    )

    def upper_phase() -> None:
        wrapper.begin_upper_phase(model, [batch], seed=0)
        for _ in range(args.upper_steps):
            wrapper.upper_step(model, images, seed=0)
        wrapper.end_upper_phase()

    ratios = [lower / base for base, lower in pairs]
    result = dict(
        backbone=f'resnet{args.depth}',
        pixels=args.pixels,
        batch=args.batch,
        repeats=args.repeats,
        mmpretrain_step_seconds=statistics.median(p[0] for p in pairs),
        lower_step_seconds=statistics.median(p[1] for p in pairs),
        ratio_median=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        upper_steps=args.upper_steps,
        upper_phase_seconds=timed(upper_phase),
        machine=f'{platform.machine()}, {os.cpu_count()} cores, '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}',
    )
    for key, value in result.items():
        print(
            f'{key:>24}: {value:.4g}'
            if isinstance(value, float)
            else f'{key:>24}: {value}'
        )
    if args.json:
        write_json(args.json, result)


if __name__ == '__main__':
    main()
