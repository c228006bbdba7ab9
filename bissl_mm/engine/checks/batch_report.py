"""Describe the batch whose loss is not finite.

This code runs only after a step has failed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank
from torch import nn

from ...utils.errors import FloatingPointRefusal
from ...utils.random import seeded
from .batch_labels import BatchReport, Labels, describe
from .out_of_memory import PHASE_OF_STEP, memory_phase

#: Names in a message; further ones are only counted.
_MAX_NAMES = 5
_LOWER = 'Lower the learning rate of this level or check its data'


class NotFinite(FloatingPointRefusal):
    """A step met a number that is not finite.

    Args:
        what (str): A sentence that says what was met, and where.
        batch (str): Sentences about the batch. Defaults to none.
        remedy (str): What to do, without a full stop.
        parts (Sequence[dict]): Preprocessed parts of another batch that may be
            the cause. Defaults to none.
    """

    def __init__(
        self,
        what: str,
        batch: str = '',
        remedy: str = _LOWER,
        parts: Sequence[dict] = (),
    ) -> None:
        self.what, self.remedy, self.parts = what, remedy, parts
        super().__init__(
            f'{what} {batch}{" " * bool(batch)}The parameters were not '
            'changed by this step, and no checkpoint was written. '
            f'{remedy}, and resume from the last checkpoint.'
        )


def names_its_batch(level: str) -> Callable:
    """Decorator of a step ``(self, model, batch, seed)``. If the step raises
    :class:`NotFinite`, the message also describes the batch.

    All ranks have to raise together. They do, because they check means over
    ranks. If memory runs out, the error is marked with the step's phase.

    Args:
        level (str): ``'lower'`` or ``'upper'``, the level of the batch.
    """

    def decorate(step: Callable) -> Callable:

        @functools.wraps(step)
        def named(self, model, batch, seed):
            try:
                with memory_phase(PHASE_OF_STEP[step.__name__]):
                    return step(self, model, batch, seed)
            except NotFinite as error:
                part = model.pretext if level == 'lower' else model.downstream
                report = _report(self.first_order, part, level, batch, seed)
                if describe(error.parts, set()).broken_images():
                    report = describe(error.parts, set())
                raise explained(error, report) from error

        return named

    return decorate


def explained(error: NotFinite, report: BatchReport) -> NotFinite:
    """The error with the cause that was found in the batches of all ranks.

    Args:
        error (NotFinite): The error of the step.
        report (BatchReport): The report on this rank's batch.
    """
    reports = all_gather_object(report)
    for find, say, remedy in _REASONS:
        for rank, each in enumerate(reports):
            found = find(each)
            if found:
                where = f'On rank {rank}, ' if len(reports) > 1 else ''
                text = where + say(found)
                return NotFinite(error.what, text[0].upper() + text[1:], remedy)
    images = list(reports[get_rank()])
    return NotFinite(
        error.what, f'The batch: {_join(images)}.' if images else '', error.remedy
    )


def _no_labels(parts: list[list[Labels]]) -> str:
    images = [image for part in parts for image in part]
    return (
        f'no label of the batch can be used: {_join(images)}. A loss '
        'without labels is not a number.'
    )


#: What to look for, how to say it, and what to do.
_REASONS: Sequence[tuple[Callable, Callable, str]] = (
    (
        BatchReport.broken_images,
        lambda found: (
            'images of the batch contain NaN or infinity after '
            f'preprocessing: {_join(found)}.'
        ),
        'Correct the files, or mean and std of the data preprocessor',
    ),
    (
        BatchReport.broken_boxes,
        lambda found: (
            'boxes of the batch have no area, lie outside of their '
            f'image or are not finite: {_join(found)}.'
        ),
        'Correct the boxes of these images',
    ),
    (
        BatchReport.broken_scores,
        lambda found: f'class scores of the batch are not finite: {_join(found)}.',
        'Correct the scores of these images',
    ),
    (
        BatchReport.parts_without_labels,
        _no_labels,
        'Correct the labels of these images or leave the images out, or take '
        'larger batches; if such batches passed before, lower the learning rate '
        'of this level',
    ),
)


def _join(images: Sequence[Labels]) -> str:
    shown = [str(image) for image in images[:_MAX_NAMES]]
    rest = len(images) - len(shown)
    return ', '.join(shown) + (f' and {rest} more' if rest else '')


def _report(
    first_order: Any, model: nn.Module, level: str, batch: Any, seed: int
) -> BatchReport:
    """Preprocess a batch again and describe it; an empty report if that
    fails."""
    try:
        with seeded(seed, next(model.parameters()).device):
            parts = first_order.prepare(model, level, batch)
        ignored = {
            module.ignore_index
            for module in model.modules()
            if isinstance(getattr(module, 'ignore_index', None), int)
        }
        return describe(parts, ignored)
    except Exception:
        # The error of the step matters, whatever this batch is made of.
        return BatchReport()
