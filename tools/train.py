"""Train any stage: pretraining, the bilevel stage, fine-tuning."""

import argparse
import os
import shlex

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.card import check_dry_run
from bissl_mm.utils.console import quiet_console
from bissl_mm.utils.errors import ValueRefusal


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from a checkpoint; without a path, or with "auto", from '
        'the newest complete one in the work folder',
    )
    parser.add_argument(
        '--dry-run',
        nargs='?',
        const='',
        metavar='memory',
        help='"memory": print how much memory the bilevel stage needs on a GPU, '
        'without a GPU and without data, and train nothing',
    )
    parser.add_argument(
        '--num-gpus', help='of a dry run: GPUs, each with a process; default: 1'
    )
    parser.add_argument(
        '--memory',
        help='of a dry run: memory of one GPU, for example 24GiB; prints the settings '
        'that fit it',
    )
    return parser.parse_args(argv)


def memory_of(args: argparse.Namespace, num_gpus: int, card: int | None) -> str:
    """The answer of a dry run."""
    for name, value in (
        ('--resume', args.resume),
        ('--launcher', None if args.launcher == 'none' else args.launcher),
    ):
        if value is not None:
            raise ValueRefusal(
                f'--dry-run memory trains nothing, in one process: leave {name} out. '
                '--num-gpus says how many processes the run has.'
            )
    from bissl_mm.engine.memory.command import Request, dry_run

    given = ['--task', args.task] * (args.task is not None)
    if args.work_dir is not None:
        given += ['--work-dir', shlex.quote(args.work_dir)]
    if args.cfg_options:
        typed = (f'{key}={value}' for key, value in args.cfg_options.items())
        given += ['--cfg-options', *map(shlex.quote, typed)]
    config = shlex.quote(args.config)
    start = ['python tools/train.py', config]
    if num_gpus > 1:
        start = ['tools/dist_train.sh', config, str(num_gpus)]
    return dry_run(
        Request(
            args.config, args.cfg_options, args.task, num_gpus, card, (*start, *given)
        )
    )


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    dry_run = check_dry_run(args.dry_run, args.num_gpus, args.memory)
    quiet_console()
    if dry_run is not None:
        print(memory_of(args, *dry_run))
        return
    from bissl_mm.engine.hooks.newest_checkpoint import (
        FirstStartHook,
        earlier_files_note,
    )
    from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
    from bissl_mm.engine.search_space import place_holder_note

    cfg = load_config(args)
    first = cfg.get('load_from') if args.resume == 'auto' else None
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    prepare_processes(cfg)
    earlier = None if cfg.get('resume') else earlier_files_note(cfg.work_dir)
    runner = build_runner(cfg)
    if first is not None:
        runner.register_hook(FirstStartHook(os.fspath(first)))
    if earlier:
        runner.logger.warning(earlier)
    runner.train()
    note = place_holder_note(cfg)
    if note:
        # It comes after the figures, which could be taken for a result. mmengine
        # drops a warning that it has shown before, so the text differs.
        runner.logger.warning(f'Once more: {note}')


if __name__ == '__main__':
    run_tool(main)
