"""Upper phases and whole alternations against the published scheme."""

import argparse
import sys
from collections.abc import Callable

import alternation as alternation_script
import torch
import upper_phase
from mmengine.registry import init_default_scope

from .stage import DOWNSTREAM, PIXELS, PRETEXT, free

Say = Callable[[dict], None]
#: Each group of variants is a race of its own, so that their kept graphs fit the
#: card together.
RACES = dict(
    resnet50=[
        ['published', 'recycling', 'recycling-matched'],
        ['recycling-torch', 'recycling-bf16'],
    ],
    resnet18=[['published', 'recycling', 'recycling-matched']],
)
RACES['vit-s'] = [
    RACES['resnet18'][0]
    + ['differences', 'differences-matched', 'differences-recycling']
]


def upper_resnet50(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet50', args, say)


def upper_resnet18(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet18', args, say)


def upper_vit(args: argparse.Namespace, say: Say) -> None:
    _upper('vit-s', args, say)


def sizes(args: argparse.Namespace, name: str) -> list:
    """Arguments of upper_phase.py and alternation.py."""
    found = dict(
        model=name,
        device=args.device,
        pixels=PIXELS,
        batch=PRETEXT,
        downstream_batch=DOWNSTREAM,
        repeats=2 if args.minutes >= 8 else 1,
        train_steps=100,
        head_steps=30,
    )
    if args.quick:
        found |= dict(pixels=32, batch=4, downstream_batch=2)
        found |= dict(repeats=1, train_steps=2, head_steps=1)
    return [
        text
        for key, value in found.items()
        for text in (f'--{key.replace("_", "-")}', str(value))
    ]


def _parsed(module, words: list) -> argparse.Namespace:
    """What the module makes of its command line."""
    before, sys.argv = sys.argv, [module.__name__, *words]
    try:
        return module.parse_args()
    finally:
        sys.argv = before


def _upper(name: str, args: argparse.Namespace, say: Say) -> None:
    _float32()
    races = RACES[name]
    if args.quick:
        # The smallest of the networks.
        name, races = 'resnet18', [['published']]
    settings = _parsed(
        upper_phase, sizes(args, name) + ['--steps', '1' if args.quick else '8']
    )
    for settings.variant in races:
        for record in upper_phase.measure(name, settings):
            details = {k: record.pop(k) for k in ('settings', 'model')}
            row = f'{name}, {record.pop("variant")}'
            say(dict(row=row, **record, details=details))
        free(args.device)


def _float32() -> None:
    """No TF32 on any side; what TF32 gives has a part of its own."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    init_default_scope('mmpretrain')


def alternation(args: argparse.Namespace, say: Say) -> None:
    """20 lower and 8 upper steps against the published ones and first order."""
    _float32()
    for name in ('resnet50', 'vit-s'):
        words = sizes(args, name) + ['--variant', 'same-products', 'matched', 'tenth']
        if name == 'vit-s':
            words += ['differences-matched', 'differences-tenth']
        if args.quick:
            name = 'resnet18'
            words += ['--lower-steps', '2', '--upper-steps', '1']
            words += ['--variant', 'same-products']
        settings = _parsed(alternation_script, words)
        for record in alternation_script.measure(name, settings):
            details = {k: record.pop(k) for k in ('settings', 'model')}
            row = f'{name}, {record.pop("variant")}'
            say(dict(row=row, **record, details=details))
        if args.quick:
            return
