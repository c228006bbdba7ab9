"""What a dry run prints."""

from collections.abc import Sequence
from typing import Any

from ...hypergradient.solvers.recycling import FEW_KEPT
from ...utils.card import GIB, MARGIN, SHARE, with_margin
from .fit import Fit
from .phases import Peaks
from .samples import SOURCE
from .stage import Stage

#: Field of the peaks -> its name.
_NAMES = dict(
    at_rest='weights and optimizer states',
    head_warmup='step of the head warm-up',
    lower='lower step',
    begin='begin of an upper phase',
    gradients='upper step, gradients',
    product='upper step, product of the Hessian',
    validation='validation',
)


def report(stage: Stage, peaks: Peaks) -> list[str]:
    """The peaks of all phases, line by line."""
    at = stage.point()
    lines = [
        f'Tensors on one of {stage.num_processes} GPU(s), in GiB. Batches of one GPU: '
        f'{at.lower} pretext images ({stage.samples["lower"].size} px), '
        f'{at.hessian} of them for the Hessian, and {at.upper} downstream images '
        f'({stage.samples["upper"].size} px).'
    ]
    for name, title in _NAMES.items():
        if getattr(peaks, name):
            lines.append(f'  {title:<36}{getattr(peaks, name) / GIB:>8.2f}')
        if name == 'product' and peaks.product:
            lines += _of_a_product(stage, peaks)
    lines += [
        f'  {"largest":<36}{peaks.largest / GIB:>8.2f}',
        f'  {"with the margin":<36}{with_margin(peaks.largest) / GIB:>8.2f}',
        f'The margin is a guess: {MARGIN / GIB} GiB for CUDA, cuDNN and NCCL, and '
        f'{100 * SHARE:.0f}% for fragmentation.',
        f'Assumed: source images of {SOURCE[1]}x{SOURCE[0]} pixels; of random sizes, '
        'the largest of 8 draws for the whole batch.',
    ]
    return lines + stage.notes


def _of_a_product(stage: Stage, peaks: Peaks) -> list[str]:
    lines = []
    if stage.has_graph:
        lines.append(
            f'  of it, graph kept for all products {peaks.graph / GIB:>9.2f}'
            f'   (keep_graph=False: a product takes {peaks.rebuilt / GIB:.2f} in all)'
        )
    if stage.vectors:
        few = stage.vectors_of_few
        lines.append(
            f'  of it, vectors of the solver, at most {stage.vectors / GIB:>6.2f}'
            + (
                ''
                if few is None
                else f'   (solver.max_basis={FEW_KEPT}: {few / GIB:.2f})'
            )
        )
    return lines


def advice(stage: Stage, fit: Fit, card: int, command: Sequence[str]) -> list[str]:
    """What fits a card, and what to type, line by line.

    Args:
        stage (Stage): The stage.
        fit (Fit): For the card.
        card (int): Its bytes.
        command (Sequence[str]): The command without options.
    """
    lines = [f'On a card of {card / GIB:g} GiB:']
    is_unrolled = stage.hypergradient.unrolled_steps > 0
    batches = {'largest pretext batch of one GPU': fit.pretext}
    if not is_unrolled:
        batches['largest Hessian batch beside these batches'] = fit.hessian
    for title, sizes in batches.items():
        kept = f' with the graph kept, {_size(sizes[False])} with keep_graph=False'
        lines.append(
            f'  {title}: {_size(sizes[True])}{kept if stage.has_graph else ""}'
        )
    if stage.takes_parts:
        lines += [
            f'  parts of a {level} batch: {_size(number)}'
            for level, number in fit.parts.items()
        ]
    else:
        lines.append(
            '  parts: none, because the pretext loss or a norm compares the images '
            'of a batch'
        )
    return lines + _what_to_type(fit, command, is_unrolled)


def _what_to_type(fit: Fit, command: Sequence[str], is_unrolled: bool) -> list[str]:
    if fit.peaks is None:
        fewer = 'fewer unrolled_steps, ' if is_unrolled else ''
        return [
            f'No batch of at least 2 images fits. Take {fewer}more GPUs, smaller images '
            'or a smaller network.'
        ]
    if not fit.options:
        return ['It fits as it is. Type:', '  ' + ' '.join(command)]
    typed = ' '.join(f'{key}={value}' for key, value in fit.options.items())
    lines = [
        f'It fits with {with_margin(fit.peaks.largest) / GIB:.1f} GiB, the margin '
        'included, if you type:',
        '  ' + ' '.join(_with_options(command, typed)),
    ]
    changed = [key for key in fit.options if key.endswith('batch_size')]
    if changed:
        lines.append(
            f'Smaller batches ({", ".join(changed)}) change what is computed; more '
            'GPUs do not, where the batch is that of all of them.'
        )
    return lines


def _with_options(command: Sequence[str], typed: str) -> list[str]:
    """The command with options more, which win over those that it has."""
    first = () if '--cfg-options' in command else ('--cfg-options',)
    return [*command, *first, typed]


def _size(number: int) -> Any:
    return number or 'none'
