"""Print how long runs took, from their logs.

The form is that of the paper's Table 10 (C.1): hours times the number of GPUs, or of
processes without GPUs. Example::

    python tools/analysis/compute_time.py pretext=work_dirs/A bissl=work_dirs/B \\
        fine-tuning=work_dirs/C
"""

import argparse

from bissl_mm.command_line import run_tool
from bissl_mm.utils.console import quiet_console


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='+', help='work folders, or NAME=FOLDER')
    parser.add_argument('--json', help='also write the figures to this file')
    args = parser.parse_args(argv)
    quiet_console()
    from bissl_mm.analysis.json_file import write_json
    from bissl_mm.analysis.logs import named_folders, run_time
    from bissl_mm.utils.folders import checked_output

    if args.json is not None:
        args.json = checked_output('--json', args.json)
    found = {name: run_time(path) for name, path in named_folders(args.runs).items()}
    print('| run | hours | processes | device hours | starts |')
    print('| --- | --- | --- | --- | --- |')
    for name, time in found.items():
        print(
            f'| {name} | {time.seconds / 3600:.2f} | {time.processes} | '
            f'{time.device_hours:.2f} | {time.starts} |'
        )
    if args.json:
        write_json(
            args.json,
            {
                name: dict(time._asdict(), device_hours=time.device_hours)
                for name, time in found.items()
            },
        )


if __name__ == '__main__':
    run_tool(main)
