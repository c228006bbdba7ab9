"""Check all data of a config before training.

It reads the headers of all files and all pixels, and shows all findings.
Training itself checks a seeded sample only. The exit status is 1 if anything
would be refused. Example::

    python tools/check_data.py configs/fine_tune/r18_48px.py --task dtd5
"""

import argparse
import sys

from bissl_mm.command_line import add_cfg_options, add_verbose, run_tool
from bissl_mm.utils.console import quiet_console

#: Splits of a config that has all of them.
PARTS = ('pretext', 'train', 'val', 'test')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=PARTS,
        default=list(PARTS),
        help='splits to check; default: all that the config has',
    )
    parser.add_argument(
        '--sample',
        action='store_true',
        help='check only the sample that training checks',
    )
    add_cfg_options(parser)
    add_verbose(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.config import notes_of, read_config
    from bissl_mm.datasets.folders import check_data_folders
    from bissl_mm.datasets.look import look_over
    from bissl_mm.datasets.look.table import table_lines
    from bissl_mm.utils.console import quiet_pycocotools
    from bissl_mm.utils.total_batch import share_batches

    cfg = read_config(args.config, args.cfg_options, args.task)
    if cfg.get('custom_imports') is None:
        import bissl_mm.models  # noqa: F401
    check_data_folders(cfg, args.parts)
    for line in [*notes_of(cfg), *share_batches(cfg, 1)]:
        print(line)
    quiet_pycocotools()
    look = look_over(cfg, args.parts, everything=not args.sample)
    for line in table_lines(look, whole=not args.sample):
        print(line)
    for kind, lines in (('Warning', look.warnings), ('Refused', look.refusals)):
        for line in lines:
            print(f'{kind}: {line}')
    print(f'{len(look.refusals)} refused, {len(look.warnings)} warning(s).')
    if look.refusals:
        sys.exit(1)


if __name__ == '__main__':
    run_tool(main)
