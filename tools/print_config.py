"""Print a config with its bases and settings merged."""

import argparse

from bissl_mm.command_line import add_cfg_options, run_tool
from bissl_mm.utils.console import quiet_console


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    quiet_console()
    from bissl_mm.config import read_config

    print(read_config(args.config, args.cfg_options, args.task).pretty_text)


if __name__ == '__main__':
    run_tool(main)
