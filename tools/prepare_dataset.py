"""Lay out a data set as the configs read it.

You download the publisher's archive or repository yourself; this tool does not
use the network. Example::

    python tools/prepare_dataset.py dtd5 dtd-r1.0.1.tar.gz

writes data/dtd5, or dtd5 in the folder that BISSL_DATA_DIR names. Each folder
that it creates has a list of every split in lists/, with the path of each image
in the source, and the settings in prepared.json.
"""

import argparse
import os
import signal
import sys
import textwrap

from bissl_mm.prepare import DATA_SETS, prepare, table
from bissl_mm.utils.errors import Refusal


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'{__doc__}\ndata sets and what to download:\n{known()}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', metavar='NAME', help=', '.join(sorted(DATA_SETS)))
    parser.add_argument(
        'source',
        metavar='SRC',
        help='the downloaded archive (tar or zip), or the folder with its content or, '
        'of several downloads, with all of them',
    )
    parser.add_argument(
        'destination',
        metavar='DST',
        nargs='?',
        default=os.environ.get('BISSL_DATA_DIR', 'data'),
        help='folder of the data sets; default: $BISSL_DATA_DIR, or data',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the drawn images; default: 0'
    )
    parser.add_argument(
        '--split',
        default='rules',
        metavar='RULE',
        help="rules: the publisher's parts and, where they lack one, those drawn by the "
        "paper's rules; released: the lists of the paper's authors; default: rules",
    )
    parser.add_argument(
        '--counts',
        type=count,
        nargs='+',
        default=[],
        metavar='KEY=N',
        help='numbers of images to draw, for example unlabeled=5000',
    )
    parser.add_argument(
        '--allow-incomplete',
        action='store_true',
        help='accept a source from which images or labels are missing',
    )
    return parser.parse_args(argv)


def known() -> str:
    """The data sets and what to download, for ``--help``."""
    lines = []
    for name, data_set in sorted(DATA_SETS.items()):
        drawn = ', '.join(f'{k}={v}' for k, v in data_set.drawn.items())
        lines += textwrap.wrap(
            f'{name}: {data_set.download}' + f'; draws {drawn}' * bool(drawn),
            79,
            initial_indent='  ',
            subsequent_indent='    ',
        )
    return '\n'.join(lines)


def count(text: str) -> tuple[str, int]:
    key, _, number = text.partition('=')
    return key, int(number)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    splits = prepare(
        args.name,
        args.source,
        args.destination,
        args.seed,
        dict(args.counts),
        args.allow_incomplete,
        args.split,
    )
    print(table(splits))
    for folder in sorted({split.folder for split in splits}):
        print(f"Written to '{os.path.join(args.destination, folder)}'.")


if __name__ == '__main__':
    # As on Ctrl-C, unfinished folders are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except Refusal as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        sys.exit('Interrupted: nothing was written.')
