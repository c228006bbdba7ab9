"""Lay out a data set as the configs read it.

You download the publisher's archive or repository yourself; this tool does not
use the network. Example::

    python tools/prepare_dataset.py dtd5 dtd-r1.0.1.tar.gz

writes data/dtd5, or dtd5 in the folder that BISSL_DATA_DIR names. Each folder
that it creates has a list of every split in lists/, with the path of each image
in the source, and the settings in prepared.json. Class folders of your own are
divided by::

    python tools/prepare_dataset.py folder path/with/class/folders --out data/mine

into data/mine/train/CLASS, val/CLASS and test/CLASS.
"""

import argparse
import os
import shlex
import signal
import sys
import textwrap

from bissl_mm.prepare import DATA_SETS, OWN, SHARES, prepare, prepare_own_folder, table
from bissl_mm.utils.errors import Refusal, ValueRefusal


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=f'{__doc__}\ndata sets and what to download:\n{known()}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'name', metavar='NAME', help=', '.join(sorted([*DATA_SETS, OWN]))
    )
    parser.add_argument(
        'source',
        metavar='SRC',
        help='the downloaded archive (tar or zip), or the folder with its content or, '
        'of several downloads, with all of them; of folder: the folder that has a '
        'folder of images for each class',
    )
    parser.add_argument(
        'destination',
        metavar='DST',
        nargs='?',
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
        help='accept a source from which images or labels are missing; of folder: '
        'leave out images that cannot be opened',
    )
    add_own(parser)
    return parser.parse_args(argv)


def add_own(parser: argparse.ArgumentParser) -> None:
    """The options of class folders of the user's own."""
    parser.add_argument('--out', metavar='DIR', help='of folder: the folder to make')
    parser.add_argument(
        '--shares',
        type=int,
        nargs=3,
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='of folder: percent of each class in the parts; default: '
        + ' '.join(map(str, SHARES)),
    )


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


def divide(args: argparse.Namespace) -> None:
    """Divide class folders of the user's own, and say what to type next."""
    if args.counts or args.split != 'rules':
        raise ValueRefusal(
            f'--counts and --split are for published sets. Leave them out for {OWN}; '
            '--shares sets the sizes of the parts.'
        )
    if args.out is None or args.destination is not None:
        raise ValueRefusal(
            f'{OWN} needs the folder to make. Type prepare_dataset.py {OWN} '
            f'{shlex.quote(args.source)} --out DIR.'
        )
    shares = SHARES if args.shares is None else args.shares
    splits = prepare_own_folder(
        args.source, args.out, args.seed, shares, args.allow_incomplete
    )
    print(table(splits))
    print(f"Written to '{args.out}'.")
    number = len({path.split('/')[1] for path in splits[0].images})
    print(
        f'Type export BISSL_DOWNSTREAM_DIR={shlex.quote(args.out)} '
        f'BISSL_NUM_CLASSES={number}'
    )


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.name == OWN:
        divide(args)
        return
    for name, value in (('--out', args.out), ('--shares', args.shares)):
        if value is not None:
            raise ValueRefusal(
                f'{name} is for class folders of your own, prepare_dataset.py {OWN}. '
                f'Leave it out for {args.name}.'
            )
    if args.destination is None:
        args.destination = os.environ.get('BISSL_DATA_DIR', 'data')
        if not args.destination:
            raise ValueRefusal(
                'The environment variable BISSL_DATA_DIR is empty. Type export '
                "BISSL_DATA_DIR=FOLDER, or unset BISSL_DATA_DIR to take 'data'."
            )
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
