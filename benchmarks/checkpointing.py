"""What activation checkpointing does to the memory of a kept gradient graph.

Blocks of two convolutions on the CPU, once as they are and once with torch's
non-reentrant checkpointing, each in a process of its own: memory of the graph
of the loss, of that with its gradient's, and seconds of a product with the
Hessian on it::

    python benchmarks/checkpointing.py --json benchmarks/checkpointing.json

For Linux: memory is read from ``/proc``.
"""

import argparse
import ctypes
import gc
import multiprocessing
import platform
import statistics
import time

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from bissl_mm.analysis.json_file import write_json


def resident() -> float:
    """MiB that the process holds."""
    gc.collect()
    if platform.libc_ver()[0] == 'glibc':
        ctypes.CDLL(None).malloc_trim(0)
    with open('/proc/self/status') as file:
        return next(
            int(line.split()[1]) / 1024 for line in file if line.startswith('VmRSS')
        )


def measure(args: argparse.Namespace, with_checkpoints: bool) -> dict:
    torch.manual_seed(0)
    blocks = nn.Sequential(
        *[
            nn.Sequential(
                nn.Conv2d(32, 32, 3, padding=1),
                nn.Softplus(),
                nn.Conv2d(32, 32, 3, padding=1),
                nn.Softplus(),
            )
            for _ in range(args.blocks)
        ]
    )
    params = list(blocks.parameters())
    images = torch.randn(args.batch, 32, args.pixels, args.pixels)
    # What torch allocates once for all.
    torch.autograd.grad(blocks(images).square().mean(), params)
    start = resident()
    x = images
    for block in blocks:
        x = checkpoint(block, x, use_reentrant=False) if with_checkpoints else block(x)
    loss = x.square().mean()
    found = dict(checkpoints=with_checkpoints, loss_mib=resident() - start)
    grads = torch.autograd.grad(loss, params, create_graph=True)
    found['gradient_mib'] = resident() - start
    seconds = []
    for _ in range(args.repeats):
        begin = time.perf_counter()
        product = torch.autograd.grad(
            grads, params, [torch.ones_like(p) for p in params], retain_graph=True
        )
        seconds.append(time.perf_counter() - begin)
    found['product_seconds'] = statistics.median(seconds)
    found['product_norm'] = (
        torch.stack([p.double().norm() for p in product]).norm().item()
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--blocks', type=int, default=8)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--pixels', type=int, default=64)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--json')
    args = parser.parse_args()
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        records = pool.starmap(measure, [(args, False), (args, True)], chunksize=1)
    for found in records:
        print(
            'with checkpoints:' if found['checkpoints'] else 'as it is:',
            f'loss {found["loss_mib"]:.0f} MiB, with its gradient '
            f'{found["gradient_mib"]:.0f} MiB, a product '
            f'{found["product_seconds"]:.2f} s, its norm '
            f'{found["product_norm"]:.6g}',
        )
    print(
        f'{records[1]["gradient_mib"] / records[0]["gradient_mib"]:.2f} '
        'times the memory with checkpoints'
    )
    if args.json:
        write_json(
            args.json,
            dict(arguments=vars(args), records=records, torch=torch.__version__),
        )


if __name__ == '__main__':
    main()
