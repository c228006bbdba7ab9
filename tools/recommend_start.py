"""Recommend lambda and T to start with, for given numbers of images.

R is the number of times that theta_P can relax toward theta_D in the stage. Aim
at 2 to 10; docs/choosing.md says why. With SGD at the lower level, R follows
from the config. With LARS and Adam, a few lower steps are made on the pretext
data and thrown away. Example::

    python tools/recommend_start.py CONFIG --images 10000 --labels 500
"""

import argparse

from bissl_mm.command_line import add_cfg_options, add_verbose, run_tool
from bissl_mm.utils.console import quiet_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file of a bilevel stage')
    for name, what in (('images', 'pretext'), ('labels', 'labeled')):
        parser.add_argument(
            f'--{name}',
            type=int,
            help=f'number of {what} images; default: those of the data set',
        )
    add_cfg_options(parser)
    add_verbose(parser)
    args = parser.parse_args(argv)
    for name in ('images', 'labels'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name} is {getattr(args, name)}; give 1 or more.')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.analysis.start import start_of
    from bissl_mm.config import read_config
    from bissl_mm.engine.steps.settings import refuse_moved

    cfg = read_config(args.config, args.cfg_options, args.task)
    refuse_moved(cfg)
    for line in start_of(cfg, args.images, args.labels).lines():
        print(line)


if __name__ == '__main__':
    run_tool(main)
