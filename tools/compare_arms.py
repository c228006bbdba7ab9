"""Fine-tune several backbones under one search budget and compare them.

Every arm tries the same random settings of learning rate and weight decay. One
run per setting chooses among them on the validation data. The final runs have
the same seeds in every arm. Example::

    python tools/compare_arms.py \\
        configs/fine_tune/r18_48px.py --task dtd5 \\
        --arm FT=work_dirs/pretext/epoch_20.pth \\
        --arm BiSSL+FT=work_dirs/bissl/backbone.pth --settings 8 --seeds 5
"""

import argparse
import gc
import logging
import os.path as osp
import platform
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.console import quiet_console
from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal

if TYPE_CHECKING:
    from mmengine.config import Config
    from tqdm import tqdm


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument(
        '--arm', action='append', required=True, metavar='NAME=CHECKPOINT'
    )
    # The defaults of these arguments are in the config's ``search``.
    parser.add_argument(
        '--settings', type=int, help='number of random settings that each arm tries'
    )
    parser.add_argument('--lr', type=float, nargs=2, help='range of the learning rate')
    parser.add_argument(
        '--weight-decay', type=float, nargs=2, help='range of weight decay'
    )
    parser.add_argument('--seeds', type=int, help='number of final runs of each arm')
    parser.add_argument(
        '--metric', help='metric of the evaluator, for example coco/bbox_mAP_50 or mIoU'
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='number of parallel runs, each in a process of one thread; '
        'default: the number of GPUs, or of cores if there is no GPU',
    )
    parser.add_argument(
        '--fresh',
        action='store_true',
        help='repeat all runs; by default, runs that an earlier comparison of '
        'the same config, checkpoint and settings finished in WORK-DIR are '
        'read from there',
    )
    parser.add_argument('--json', help='default: WORK-DIR/comparison.json')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    arms = read_arms(args.arm)
    try:
        run(args, arms)
    except KeyboardInterrupt:
        print(
            '\nInterrupted. Finished runs are kept; the same command '
            'continues from here' + ', without --fresh' * args.fresh + '.',
            file=sys.stderr,
        )
        raise SystemExit(130) from None


def read_arms(given: list[str]) -> dict[str, str]:
    """Checkpoints by name, from ``NAME=PATH``."""
    arms = {}
    for arm in given:
        name, _, checkpoint = arm.partition('=')
        if not osp.isfile(checkpoint):
            raise FileNotFoundRefusal(
                f'--arm {arm}: checkpoint {checkpoint!r} does not exist. '
                'Write NAME=PATH.'
            )
        if '/' in name or name in ('', '.', '..'):
            raise ValueRefusal(
                f'--arm {arm}: the name {name!r} cannot be used, because a '
                'folder in WORK-DIR gets it, too. Write NAME=PATH with another '
                'name.'
            )
        if name in arms:
            raise ValueRefusal(
                f'--arm {arm}: the name {name!r} is used twice, first for '
                f'{arms[name]!r}. Give every arm its own name.'
            )
        arms[name] = checkpoint
    return arms


def run(args: argparse.Namespace, arms: dict[str, str]) -> None:
    """Do all runs and write the outcome; ``arms`` are checkpoints by name."""
    quiet_console()
    import torch
    from mmengine.logging import MMLogger
    from tqdm import tqdm

    from bissl_mm.analysis.runs.arms import draw_settings
    from bissl_mm.analysis.runs.comparison import compare
    from bissl_mm.analysis.runs.needed_parts import check_arms
    from bissl_mm.analysis.runs.workers import default_number, start_workers

    cfg = _prepared(args)
    # mmengine collects garbage whenever it builds a dataset. Objects of the
    # libraries that are imported already are never garbage, so skip them.
    gc.freeze()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    check_arms(cfg, arms)
    settings = draw_settings(args.settings, args.lr, args.weight_decay, 0, args.grid)
    args.settings = len(settings)  # A grid may have fewer.
    begin = time.time()
    number = default_number() if args.workers is None else args.workers
    number = min(number, len(arms) * max(args.settings, args.seeds))
    scopes = {'mmpretrain', cfg.get('default_scope', 'mmpretrain')}
    with (
        start_workers(number, sorted(scopes)) as workers,
        tqdm(total=len(arms) * (args.settings + args.seeds), dynamic_ncols=True) as bar,
    ):
        outcome = compare(
            cfg,
            arms,
            settings,
            range(1, args.seeds + 1),
            cfg.work_dir,
            args.metric,
            partial(_step, bar),
            resume=not args.fresh,
            workers=workers,
        )
    outcome.update(
        workers=number,
        command=' '.join(['python', *sys.argv]),
        seconds=time.time() - begin,
        torch=torch.__version__,
        machine=platform.machine(),
    )
    _tell(outcome, args.json or osp.join(cfg.work_dir, 'comparison.json'))


def _step(bar: 'tqdm', text: str) -> None:
    bar.update()
    bar.write(text)


def _prepared(args: argparse.Namespace) -> 'Config':
    """The config of the runs, checked; missing arguments are filled in."""
    from bissl_mm.analysis.runs.needed_parts import check_parts
    from bissl_mm.config import notes_of
    from bissl_mm.engine.checks.data_look import check_data, console_logger
    from bissl_mm.engine.launch import load_config, prepare_processes
    from bissl_mm.engine.search_space import search_space
    from bissl_mm.utils.folders import checked_output
    from bissl_mm.utils.total_batch import share_batches

    cfg = load_config(args)
    if args.json is not None:
        args.json = checked_output('--json', args.json)
    check_parts(cfg)
    vars(args).update(search_space(cfg, vars(args)))
    # Each run is one process.
    for line in [*notes_of(cfg), *share_batches(cfg, 1)]:
        print(line)
    prepare_processes(cfg)
    # The data are checked once, here, and not again in each run's process.
    check_data(cfg, ('train', 'val', 'test'), console_logger())
    return cfg


def _tell(outcome: dict, path: str) -> None:
    """Write the outcome and print it."""
    from bissl_mm.analysis.json_file import write_json
    from bissl_mm.analysis.permutation_test import significance

    write_json(path, outcome)
    for arm in outcome['arms']:
        print(f'{arm["name"]}: {arm["mean"]:.2f} +- {arm["std"]:.2f}')
    if 'p_value' in outcome:
        print(f'difference {outcome["difference"]:+.2f}, {significance(outcome)}')
    print(path)


if __name__ == '__main__':
    run_tool(main)
