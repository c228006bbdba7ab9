"""Time and memory of one alternation of the paper's detector, by phase.

Faster R-CNN C4 with ResNet-50 and SimCLR of the shipped config on smaller
batches of random pictures and boxes: lower steps, then an upper phase with the
published solver. The peak after each alternation shows whether memory grows::

    python benchmarks/dense_phase.py --json dense_phase.json
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

import bissl_mm.engine  # noqa: F401  (registers)
from bissl_mm.analysis.json_file import write_json
from bissl_mm.config import read_config

CONFIG = (
    Path(__file__).resolve().parents[1] / 'configs/bissl/bissl-simclr_'
    'r50_8xb128-20x8-500t_in1k-96px.py'
)
TASK = 'voc0712-c4'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--pixels', type=int, default=224)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--pretext-pixels', type=int, default=96)
    parser.add_argument('--pretext-batch', type=int, default=16)
    parser.add_argument('--lower-steps', type=int, default=20)
    parser.add_argument('--upper-steps', type=int, default=8)
    parser.add_argument('--alternations', type=int, default=2)
    parser.add_argument('--json')
    return parser.parse_args()


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def random_scenes(number: int, pixels: int) -> dict:
    """A collated batch of pictures with five boxes each."""
    from mmdet.structures import DetDataSample

    samples = []
    for _ in range(number):
        corner = torch.rand(5, 2) * pixels * 0.6
        size = 16 + torch.rand(5, 2) * pixels * 0.3
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(pixels, pixels),
                ori_shape=(pixels, pixels),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + size], dim=1),
            labels=torch.randint(20, (5,)),
        )
        samples.append(sample)
    inputs = [
        torch.randint(0, 255, (3, pixels, pixels)).to(torch.uint8)
        for _ in range(number)
    ]
    return dict(inputs=inputs, data_samples=samples)


def write(args: argparse.Namespace, records: list) -> None:
    """The record so far; a phase of the paper's model takes long."""
    result = dict(
        config=f'{CONFIG.name} --task {TASK}',
        arguments=vars(args),
        alternations=records,
        machine=f'{platform.machine()}, {os.cpu_count()} cores, '
        f'{torch.get_num_threads()} threads, torch {torch.__version__}',
    )
    write_json(args.json, result)


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    cfg = read_config(str(CONFIG), task=TASK)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.copy_backbone_to_upper()
    model.train()

    def views() -> dict:
        size = (3, args.pretext_pixels, args.pretext_pixels)
        return dict(
            inputs=[
                torch.randint(0, 255, (args.pretext_batch, *size)).to(torch.uint8)
                for _ in range(2)
            ],
            data_samples=[None] * args.pretext_batch,
        )

    records = []
    for alternation in range(1, args.alternations + 1):
        begin = time.perf_counter()
        for step in range(args.lower_steps):
            wrapper.lower_step(model, views(), seed=step)
        lower = time.perf_counter() - begin
        after_lower = peak_gib()
        begin = time.perf_counter()
        wrapper.begin_upper_phase(model, [views()], seed=0)
        for step in range(args.upper_steps):
            logs = wrapper.upper_step(
                model, random_scenes(args.batch, args.pixels), seed=step
            )
        wrapper.end_upper_phase()
        records.append(
            dict(
                alternation=alternation,
                lower_phase_seconds=lower,
                peak_gib_after_lower=after_lower,
                upper_phase_seconds=time.perf_counter() - begin,
                peak_gib=peak_gib(),
                loss_at_lower=logs['loss_at_lower'],
            )
        )
        print(', '.join(f'{k} {v:.4g}' for k, v in records[-1].items()), flush=True)
        if args.json:
            write(args, records)


if __name__ == '__main__':
    main()
