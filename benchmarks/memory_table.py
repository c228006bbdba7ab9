"""The paper's bilevel configs by number of GPUs and by card, from dry runs.

::

    python benchmarks/memory_table.py --json memory_table.json

prints the table of docs/memory.md. Every config has two dry runs with 8 GPUs and two
with one. All else is by straight lines through them; settings have 2% to spare.
"""

import argparse
from typing import Any

from dry_run import CONFIGS, in_process, stage_of

from bissl_mm.analysis.json_file import write_json
from bissl_mm.utils.card import GIB, room, with_margin

TABLE = {
    'SimCLR, ResNet-50, 96 px': f'{CONFIGS}simclr_r50_8xb128-20x8-500t_in1k-96px.py',
    'BYOL, ResNet-50, 96 px': f'{CONFIGS}byol_r50_8xb128-20x8-500t_in1k-96px.py',
    'MAE, ViT-S, 96 px': f'{CONFIGS}mae_vit-s8_8xb128-20x8-500t_in1k-96px.py',
    'SimCLR, ResNet-50, 224 px': f'{CONFIGS}simclr_r50_8xb128-10x4-200t_in1k-224px.py',
}
GPUS, CARDS = (8, 4, 2, 1), (24, 40, 80)
#: Key of a setting -> its short name in the table.
SHORT = {
    'optim_wrapper.hypergradient.keep_graph': 'keep_graph',
    'optim_wrapper.hypergradient.batch_size': 'Hessian batch',
    'optim_wrapper.num_micro_batches.lower': 'lower parts',
    'optim_wrapper.num_micro_batches.hessian': 'Hessian parts',
    'train_cfg.pretext_dataloader.batch_size': 'pretext batch',
    'train_dataloader.batch_size': 'downstream batch',
    'val_dataloader.batch_size': 'validation batch',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--cards', type=int, nargs='+', default=CARDS, help='GiB')
    parser.add_argument('--only', help='rows whose name contains this text')
    parser.add_argument('--json')
    return parser.parse_args()


def rows_of(config: str, cards: tuple[int, ...]) -> list[dict[str, Any]]:
    """Peaks of a config in bytes, and for each card the settings that fit.

    One process has norms of its own and is a case of its own. With several, the
    bytes follow from the batch of one; two dry runs with the most of them give
    the lines for all.
    """
    from bissl_mm.engine.memory.fit import Fitter

    rows, lines, peaks = [], None, None
    for num_gpus in GPUS:
        stage = stage_of(config, {}, None, num_gpus)
        is_measured = lines is None or num_gpus == 1
        if is_measured:
            peaks = stage.measure({})
            lines = Fitter(stage, peaks).lines
            takes_parts = stage.takes_parts
        else:
            peaks = lines.peaks(stage.point(), peaks)
            stage.takes_parts = takes_parts
        fitter = Fitter(stage, peaks, lines)
        row = dict(
            gpus=num_gpus,
            is_measured=is_measured,
            batches=stage.point()._asdict(),
            peaks=peaks._asdict(),
            largest=peaks.largest,
            cards={},
        )
        for card in cards:
            limit = room(card * GIB)
            fits = peaks.largest <= limit
            row['cards'][card] = {} if fits else fitter.options(0.98 * limit)
        rows.append(row)
    return rows


def in_words(options: dict[str, Any] | None) -> str:
    if options is None:
        return 'does not fit'
    return ', '.join(f'{SHORT[k]} {v}' for k, v in options.items()) or 'fits'


def main() -> None:
    args = parse_args()
    rows = []
    cards = tuple(args.cards)
    print('| config | GPUs | needs, GiB |', *(f' {c} GiB |' for c in cards), sep='')
    print('| --- | --- | --- |', *(' --- |' for _ in cards), sep='')
    for name, config in TABLE.items():
        if args.only and args.only not in name:
            continue
        for row in in_process(rows_of, (config, cards)):
            num_gpus = row['gpus']
            rows.append(dict(name=name, config=config, **row))
            print(
                f'| {name} | {num_gpus} | {with_margin(row["largest"]) / GIB:.1f} |',
                *(f' {in_words(row["cards"][card])} |' for card in cards),
                sep='',
                flush=True,
            )
            if args.json:
                write_json(args.json, dict(unit='bytes', rows=rows))


if __name__ == '__main__':
    main()
