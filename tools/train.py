"""Train any stage: pretraining, the bilevel stage, fine-tuning."""

import argparse

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.console import quiet_console


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
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
    from bissl_mm.engine.search_space import place_holder_note

    cfg = load_config(args)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    prepare_processes(cfg)
    runner = build_runner(cfg)
    runner.train()
    note = place_holder_note(cfg)
    if note:
        # It comes after the figures, which could be taken for a result. mmengine
        # drops a warning that it has shown before, so the text differs.
        runner.logger.warning(f'Once more: {note}')


if __name__ == '__main__':
    run_tool(main)
