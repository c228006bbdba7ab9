"""Upper phases and whole alternations against the published scheme."""

import argparse
import sys
from collections.abc import Callable

import torch
import upper_phase
from mmengine.registry import init_default_scope

from .stage import DOWNSTREAM, PIXELS, PRETEXT

Say = Callable[[dict], None]
_TENTH = dict(type='RecyclingSolver', tolerance=0.08)
_MATCHED = dict(type='RecyclingSolver', tolerance='matched')
#: Beside those of upper_phase.py.
DIFFERENCES = {
    'differences-published': dict(
        solver=dict(type='LayerwiseCGSolver'), curvature='differences'
    ),
    'differences': dict(solver=_TENTH, curvature='differences'),
    'differences-matched': dict(solver=_MATCHED, curvature='differences'),
}


def upper_resnet50(args: argparse.Namespace, say: Say) -> None:
    variants = ['published', 'recycling', 'recycling-matched', 'recycling-torch']
    _upper('resnet50', args, say, [*variants, 'recycling-bf16'])


def upper_resnet18(args: argparse.Namespace, say: Say) -> None:
    _upper('resnet18', args, say, ['published', 'recycling', 'recycling-matched'])


def upper_vit(args: argparse.Namespace, say: Say) -> None:
    variants = ['published', 'recycling', 'recycling-matched']
    _upper('vit-s', args, say, variants + list(DIFFERENCES))


def sizes(args: argparse.Namespace, name: str) -> list:
    """Arguments of upper_phase.py and alternation.py."""
    found = dict(
        model=name,
        device=args.device,
        pixels=PIXELS,
        batch=PRETEXT,
        downstream_batch=DOWNSTREAM,
        repeats=2,
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


def _upper(name: str, args: argparse.Namespace, say: Say, variants: list) -> None:
    # In float32 throughout, as the published scheme on other cards; what TF32
    # gives has its own part.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    init_default_scope('mmpretrain')
    upper_phase.VARIANTS |= DIFFERENCES
    words = sizes(args, name) + ['--steps', '1' if args.quick else '8']
    settings = _parsed(upper_phase, words)
    settings.variant = variants[-1:] if args.quick else variants
    if args.quick:
        # The smallest of its networks.
        name = 'vit-s' if name == 'vit-s' else 'resnet18'
    for record in upper_phase.measure(name, settings):
        details = {k: record.pop(k) for k in ('settings', 'model')}
        say(dict(row=f'{name}, {record.pop("variant")}', **record, details=details))


def alternation(args: argparse.Namespace, say: Say) -> None:
    """20 lower and 8 upper steps against the published ones and first order."""
    try:
        import alternation as module
    except ModuleNotFoundError:
        say(dict(row='alternation.py', note='is missing'))
        return
    init_default_scope('mmpretrain')
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    for name in ('resnet50', 'vit-s'):
        words = sizes(args, name)
        if args.quick:
            name = 'resnet18'
            words += ['--lower-steps', '2', '--upper-steps', '1']
            words += ['--variant', 'tenth']
        settings = _parsed(module, words)
        for record in module.measure(name, settings):
            details = {k: record.pop(k) for k in ('settings', 'model')}
            row = f'{name}, {record.pop("variant")}'
            say(dict(row=row, **record, details=details))
        if args.quick:
            return
