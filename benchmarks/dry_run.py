"""Memory by the dry run and by a real run on the CPU, phase by phase.

The real run has real tensors, which are counted as they come and go. Beside it
stands what torch's allocator has recorded of the whole run. Each side is a
process of its own::

    python benchmarks/dry_run.py --json dry_run.json
    python benchmarks/dry_run.py --quick --json PATH
"""

import argparse
import multiprocessing
import os
import platform
import sys
from typing import Any
from unittest import mock

from bissl_mm.analysis.json_file import write_json

CONFIGS = 'configs/bissl/bissl-'
#: Name -> config, its options, and pretext and downstream images.
RUNS = {
    'ResNet-18, SimCLR, 48 px': (
        f'{CONFIGS}simclr_r18_b64-10x4-10t_cifar10-48px_published.py',
        {},
        (32, 16),
    ),
    'ResNet-50, SimCLR, 96 px': (
        f'{CONFIGS}simclr_r50_8xb128-20x8-500t_in1k-96px.py',
        {},
        (8, 4),
    ),
    'ViT-S, MAE, 96 px': (
        f'{CONFIGS}mae_vit-s8_8xb128-20x8-500t_in1k-96px.py',
        {},
        (8, 4),
    ),
}
QUICK = {
    'ResNet-10, SimCLR, 32 px': (
        f'{CONFIGS}simclr_r10_b128-10x4-30t_imagefolder-32px.py',
        {
            'optim_wrapper.hypergradient.solver.type': 'LayerwiseCGSolver',
            'optim_wrapper.hypergradient.damping': 10.0,
        },
        (8, 4),
    )
}
#: Fields of the peaks that are compared.
PHASES = ('lower', 'begin', 'gradients', 'product')
#: Both sides take the kernels that a GPU would take.
AS_ON_GPU = {'optim_wrapper.hypergradient.small_image_kernels': False}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='one small network')
    parser.add_argument('--json')
    return parser.parse_args()


def stage_of(
    config: str, options: dict, sizes: tuple[int, int] | None, num_processes: int = 1
):
    import bissl_mm.datasets
    import bissl_mm.engine
    import bissl_mm.models  # noqa: F401
    from bissl_mm.config import read_config
    from bissl_mm.engine.memory.stage import Stage

    options = {**options, **AS_ON_GPU}
    if sizes is not None:
        lower, upper = sizes
        options['train_cfg.pretext_dataloader.batch_size'] = lower
        options['train_dataloader.batch_size'] = upper
    return Stage(read_config(config, options), num_processes)


def dry(*run: Any) -> dict[str, int]:
    peaks = stage_of(*run).measure({})
    return {phase: getattr(peaks, phase) for phase in PHASES}


def real(*run: Any) -> dict[str, int]:
    """The peaks of the lower steps and of one upper phase of two steps.

    Two lower steps, or one more than are unrolled. The phases of an upper step are
    told apart by where its parts begin and end.
    """
    import torch
    from mmengine.logging import MessageHub
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS
    from torch.profiler import ProfilerActivity, profile

    from bissl_mm.engine.memory.live_tensors import LiveTensors
    from bissl_mm.hypergradient import Curvature
    from bissl_mm.hypergradient.unrolled import UnrolledSteps

    stage = stage_of(*run)
    unrolled = stage.hypergradient.unrolled_steps
    owner = UnrolledSteps if unrolled else Curvature
    torch.manual_seed(0)
    MessageHub.get_current_instance().update_info('max_iters', 1000)
    model = MODELS.build(stage.cfg.model)
    lower, upper = (stage.samples[k].batch(stage.size(k)) for k in ('lower', 'upper'))
    found = dict.fromkeys(PHASES, 0)
    memory = LiveTensors()

    def note(phase: str, before: int = 0) -> None:
        found[phase] = max(found[phase], memory.peak)
        memory.restart()

    recorder = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    # What lives before the profiler begins is none of its records.
    with memory:
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
        model.train()
        wrapper = build_optim_wrapper(model, stage.cfg.optim_wrapper)
        at_start = memory.restart()
        recorder.__enter__()
        for seed in range(max(2, unrolled + 1)):
            wrapper.lower_step(model, dict(lower), seed)
            note('lower')
        batches = [dict(lower) for _ in range(stage.hypergradient.num_batches)]
        wrapper.begin_upper_phase(model, batches, 7)
        note('begin')
        gradient, product = wrapper.first_order.upper_gradient, owner.__call__

        def upper_gradient(*args):
            memory.restart()
            result = gradient(*args)
            note('gradients')
            return result

        def multiplied(*args):
            note('product')
            result = product(*args)
            note('product')
            return result

        with (
            mock.patch.object(wrapper.first_order, 'upper_gradient', upper_gradient),
            mock.patch.object(owner, '__call__', multiplied),
        ):
            for seed in range(2):
                wrapper.upper_step(model, dict(upper), seed)
                note('product')
        wrapper.end_upper_phase()
        recorder.__exit__(None, None, None)
    now = peak = 0
    for event in recorder.profiler.kineto_results.events():
        if event.name() == '[memory]':
            now += event.nbytes()
            peak = max(peak, now)
    return dict(found, allocator=at_start + peak)


def _send(side, run, sender) -> None:
    import logging
    import warnings

    logging.disable(logging.WARNING)
    warnings.simplefilter('ignore')
    sender.send(side(*run))
    sys.stdout.flush()
    os._exit(0)


def in_process(side, run: tuple) -> dict[str, Any]:
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(side, run, sender))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def main() -> None:
    args = parse_args()
    rows = []
    print(f'{"GiB":<28}{"phase":<12}{"dry run":>9}{"real":>9}{"ratio":>8}')
    for name, run in (QUICK if args.quick else RUNS).items():
        fake, true = in_process(dry, run), in_process(real, run)
        fake['allocator'] = max(fake.values())
        for phase in (*PHASES, 'allocator'):
            ratio = fake[phase] / true[phase]
            row = dict(
                network=name,
                images=run[2],
                phase=phase,
                dry_run=fake[phase],
                real=true[phase],
                ratio=round(ratio, 4),
            )
            rows.append(row)
            print(
                f'{name:<28}{phase:<12}{fake[phase] / 2**30:>9.4f}'
                f'{true[phase] / 2**30:>9.4f}{ratio:>8.3f}',
                flush=True,
            )
    if args.json:
        import torch

        machine = f'{platform.machine()}, torch {torch.__version__}'
        write_json(args.json, dict(unit='bytes', machine=machine, rows=rows))


if __name__ == '__main__':
    main()
