"""Evaluate a checkpoint on the config's test data."""

import argparse

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.console import quiet_console
from bissl_mm.utils.errors import ValueRefusal


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--eval-backbone',
        choices=['upper', 'lower'],
        help='for a bilevel checkpoint: evaluate the downstream head on '
        'theta_D (upper) or theta_P (lower)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
    from bissl_mm.models.weights.pretrained import REQUIRED_SHARE, check_load_from

    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.eval_backbone is not None:
        if 'downstream' not in cfg.model:
            raise ValueRefusal(
                f'--eval-backbone {args.eval_backbone} is for a config of '
                f'configs/bissl, but {args.config!r} has a model of one backbone, '
                f'{cfg.model.type!r}. Leave --eval-backbone out.'
            )
        cfg.model.eval_backbone = args.eval_backbone
    prepare_processes(cfg)
    runner = build_runner(cfg, train=False)
    check_load_from(
        getattr(runner.model, 'module', runner.model), args.checkpoint, REQUIRED_SHARE
    )
    runner.test()


if __name__ == '__main__':
    run_tool(main)
