"""Draw the curves of one or several runs.

By default the losses of both levels, lambda, the distance of the backbones and what
the solver says, or all quantities of another training. Examples::

    python tools/analyze_logs.py work_dirs/STAGE
    python tools/analyze_logs.py cosine=work_dirs/A constant=work_dirs/B \\
        --keys regime/lambda upper/loss_at_lower --out lambda.svg
"""

import argparse

from bissl_mm.command_line import add_verbose, run_tool
from bissl_mm.utils.console import quiet_console


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'runs', nargs='+', help='work folders, or NAME=FOLDER for the legend'
    )
    parser.add_argument('--keys', nargs='+', help='quantities to draw, a panel each')
    parser.add_argument(
        '--out', default='curves.png', help='a .png, .svg or .pdf file (%(default)s)'
    )
    parser.add_argument(
        '--log-scale', action='store_true', help='logarithmic vertical axes'
    )
    add_verbose(parser)
    args = parser.parse_args(argv)
    quiet_console()
    from bissl_mm.analysis.logs import named_folders, panels_of
    from bissl_mm.analysis.report import save_curves
    from bissl_mm.utils.folders import checked_output

    args.out = checked_output('--out', args.out)
    panels = panels_of(named_folders(args.runs), args.keys, args.log_scale)
    save_curves(args.out, panels)
    for key, _, lines, _ in panels:
        for name, series in lines.items():
            first, last = series['value'][0], series['value'][-1]
            print(f'{key:24} {name:24} {first:.4g} -> {last:.4g}')
    print(f'Curves: {args.out}')


if __name__ == '__main__':
    run_tool(main)
