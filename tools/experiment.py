"""Plan, run and report an experiment: a table or a figure of a paper.

    python tools/experiment.py plan configs/experiments/tmlr_table1.py
    python tools/experiment.py run configs/experiments/tmlr_table1.py --workers 4
    python tools/experiment.py status configs/experiments/tmlr_table1.py
    python tools/experiment.py report configs/experiments/tmlr_table1.py

The same command goes on after an interruption. Several machines may run it at once
with one --storage, a folder that they share.
"""

import argparse
import os.path as osp
import sys

from bissl_mm.command_line import CfgOptions, add_verbose, run_tool
from bissl_mm.utils.console import quiet_console

COMMANDS = dict(
    plan='print the graph of runs, what is done, and the hours that are left',
    run='execute what is not done yet',
    status='print progress, failures with their logs, and the time that is left',
    report='write the table or the figure beside the published numbers',
)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'command',
        choices=COMMANDS,
        help='; '.join(f'{name}: {text}' for name, text in COMMANDS.items()),
    )
    parser.add_argument('experiment', help='file in configs/experiments')
    parser.add_argument(
        '--storage',
        help='folder of claims, results and checkpoints, which all machines share; '
        'default: work_dirs/experiments/NAME',
    )
    parser.add_argument(
        '--preset',
        choices=['small'],
        help='small: narrow networks and a few steps, to try the file',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='processes on this machine; default: the number of GPUs, or of cores '
        'if there is no GPU',
    )
    parser.add_argument(
        '--time',
        action='store_true',
        help='of plan: time a few steps of each kind of run on this machine',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='values that replace those of the file, for example tasks=[pets] or '
        'settings.pretrained=PATH',
    )
    add_verbose(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.experiments import commands

    commands.Session(
        args.experiment,
        args.storage or default_storage(args.experiment, args.preset),
        args.preset,
        args.cfg_options,
        args.workers,
        args.time,
    ).do(args.command)


def default_storage(experiment: str, preset: str | None) -> str:
    """A folder for the experiment's name."""
    name = osp.splitext(osp.basename(experiment))[0]
    return osp.join('work_dirs', 'experiments', name + f'_{preset}' * bool(preset))


if __name__ == '__main__':
    try:
        run_tool(main)
    except KeyboardInterrupt:
        print(
            '\nInterrupted. Finished runs are kept; the same command goes on.',
            file=sys.stderr,
        )
        raise SystemExit(130) from None
