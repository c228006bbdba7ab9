"""Upper phases and whole alternations against the published scheme."""

import argparse
import sys
from collections.abc import Callable

import alternation as alternation_script
import torch
import upper_phase
from mmengine.registry import init_default_scope

from .stage import DOWNSTREAM, PIXELS, PRETEXT

Say = Callable[[dict], None]
#: Variants that race each other; their kept graphs fit a card of 80 GB together.
RACES = dict(
    resnet=['published', 'recycling', 'recycling-matched'],
    vit=['published', 'recycling', 'recycling-matched', 'differences']
    + ['differences-matched', 'differences-recycling'],
    # What only a GPU can judge.
    switches=['recycling', 'recycling-torch', 'recycling-bf16'],
)
#: The same for whole alternations.
ALTERNATIONS = dict(
    resnet=['same-products', 'matched', 'tenth'],
    vit=['differences-same-products', 'differences-matched', 'differences-tenth'],
)


def upper_resnet50(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet50', args, say, RACES['resnet'])


def upper_switches(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet50', args, say, RACES['switches'])


def upper_resnet18(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet18', args, say, RACES['resnet'])


def upper_vit(args: argparse.Namespace, say: Say) -> None:
    _upper('vit-s', args, say, RACES['vit'])


def is_short(args: argparse.Namespace) -> bool:
    """Whether phases have half the paper's steps."""
    return args.minutes < 8


def sizes(args: argparse.Namespace, name: str) -> list:
    """Arguments of upper_phase.py and alternation.py."""
    found = dict(
        model=name,
        device=args.device,
        pixels=PIXELS,
        batch=PRETEXT,
        downstream_batch=DOWNSTREAM,
        repeats=1 if is_short(args) else 2,
        train_steps=60 if is_short(args) else 100,
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


def _upper(name: str, args: argparse.Namespace, say: Say, variants: list) -> None:
    _float32()
    if args.quick:
        # The smallest of the networks.
        name, variants = 'resnet18', ['published']
    steps = 1 if args.quick else 4 if is_short(args) else 8
    settings = _parsed(upper_phase, sizes(args, name) + ['--steps', str(steps)])
    settings.variant = variants
    for own in upper_phase.VARIANTS.values():
        # Named, so that no time goes into products without a basis.
        own.setdefault('curvature', 'hessian')
    for record in upper_phase.measure(name, settings):
        details = {k: record.pop(k) for k in ('settings', 'model')}
        say(dict(row=f'{name}, {record.pop("variant")}', **record, details=details))


def _float32() -> None:
    """No TF32 on any side; what TF32 gives has a part of its own."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    init_default_scope('mmpretrain')


def alternation_resnet50(args: argparse.Namespace, say: Say) -> None:
    _alternation('resnet50', args, say, ALTERNATIONS['resnet'])


def alternation_vit(args: argparse.Namespace, say: Say) -> None:
    _alternation('vit-s', args, say, ALTERNATIONS['vit'])


def _alternation(name: str, args: argparse.Namespace, say: Say, variants: list) -> None:
    """20 lower and 8 upper steps against the published ones and first order."""
    _float32()
    structure = (10, 4) if is_short(args) else (20, 8)
    if args.quick:
        name, structure, variants = 'resnet18', (2, 1), ['same-products']
    words = sizes(args, name) + ['--lower-steps', str(structure[0])]
    words += ['--upper-steps', str(structure[1]), '--variant', *variants]
    settings = _parsed(alternation_script, words)
    for record in alternation_script.measure(name, settings):
        details = {k: record.pop(k) for k in ('settings', 'model')}
        say(dict(row=f'{name}, {record.pop("variant")}', **record, details=details))
