"""Compare backbones with what fine-tuning makes of them.

For each arm: the cosine of parameters and of test features before and after
fine-tuning (Figure 3 and Table 9 of the paper), the accuracy of nearest neighbours, the
effective dimension of the features, and t-SNE pictures. Example::

    python tools/alignment.py configs/fine_tune/r18_48px.py --task dtd5 \\
        --arm FT=pretrained.pth --tuned FT=runs/ft-0.pth FT=runs/ft-1.pth \\
        --arm BiSSL+FT=backbone.pth --tuned BiSSL+FT=runs/bissl-0.pth
"""

import argparse

from bissl_mm.command_line import add_cfg_options, add_verbose, run_tool
from bissl_mm.utils.console import quiet_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='fine-tuning config')
    parser.add_argument(
        '--arm',
        action='append',
        required=True,
        metavar='NAME=CKPT',
        help='the backbone that fine-tuning began with; once for each arm',
    )
    parser.add_argument(
        '--tuned',
        action='extend',
        nargs='+',
        default=[],
        metavar='NAME=CKPT',
        help='fine-tuned models of an arm',
    )
    parser.add_argument(
        '--num-batches',
        type=int,
        default=100,
        help='batches of 256 training images that the statistics are fitted to',
    )
    parser.add_argument('--out', default='alignment.html', help='the page')
    parser.add_argument('--json', help='also write the figures to this file')
    add_cfg_options(parser)
    add_verbose(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.analysis.alignment import alignment
    from bissl_mm.analysis.alignment_page import arms_of, write_alignment
    from bissl_mm.config import read_config
    from bissl_mm.utils.check import check_positive_int
    from bissl_mm.utils.folders import checked_output

    check_positive_int('tools/alignment.py', '--num-batches', args.num_batches)
    args.out = checked_output('--out', args.out)
    if args.json is not None:
        args.json = checked_output('--json', args.json)
    arms = arms_of(args.arm, args.tuned)
    cfg = read_config(args.config, args.cfg_options, args.task)
    found = {
        name: alignment(cfg, start, tuned, args.num_batches)
        for name, (start, tuned) in arms.items()
    }
    for row in write_alignment(args.out, found, args.json):
        print('| ' + ' | '.join(row) + ' |')
    print(f'Page: {args.out}')


if __name__ == '__main__':
    run_tool(main)
