"""What the batch was whose loss is not a number.

Nothing here runs before a step has failed.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank
from torch import Tensor, nn

from ...utils.errors import FloatingPointRefusal
from ...utils.random import seeded

#: Names in a message; more are counted.
_MAX_NAMES = 5
_LOWER = 'Lower the learning rate of this level or check its data'


class NotFinite(FloatingPointRefusal):
    """A step met a number that is not finite.

    Args:
        what (str): A sentence: what was met, and where.
        batch (str): Sentences on the batch. Defaults to none.
        remedy (str): What to do, without a full stop.
        parts (Sequence[dict]): Preprocessed parts of another batch that may
            be the cause. Defaults to none.
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


@dataclass
class Labels:
    """The labels of one image.

    Args:
        name (str): Of the image.
        unit (str): What is counted.
        usable (int): Those that a loss can learn from.
        total (int): All of them.
        bad_input (bool): Whether the image holds NaN or infinity.
    """

    name: str
    unit: str = ''
    usable: int = 0
    total: int = 0
    bad_input: bool = False

    def __str__(self) -> str:
        if not self.unit:
            return self.name
        return f'{self.name} ({self.usable} of {self.total} {self.unit})'


@dataclass
class BatchReport:
    """Of one rank: the parts that passed the network one by one."""

    parts: list[list[Labels]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Labels]:
        for part in self.parts:
            yield from part

    def broken_images(self) -> list[Labels]:
        """Images that hold NaN or infinity."""
        return [image for image in self if image.bad_input]

    def parts_without_labels(self) -> list[list[Labels]]:
        """Parts with labeled images of which no label can be used."""
        return [
            part
            for part in self.parts
            if any(image.unit for image in part)
            and not any(image.usable for image in part)
        ]

    def broken_boxes(self) -> list[Labels]:
        """Images with boxes that have no area or are not finite."""
        return [
            image
            for image in self
            if image.unit.startswith('box') and image.usable < image.total
        ]

    def broken_scores(self) -> list[Labels]:
        """Images with class scores that are not finite."""
        return [
            image
            for image in self
            if image.unit == 'class scores' and image.usable < image.total
        ]


def names_its_batch(level: str) -> Callable:
    """Decorator of a step ``(self, model, batch, seed)``: where it raises
    :class:`NotFinite`, the message says what the batch was.

    All ranks have to raise together, as they do on means over ranks.

    Args:
        level (str): ``'lower'`` or ``'upper'``, whose model sees the batch.
    """

    def decorate(step: Callable) -> Callable:

        @functools.wraps(step)
        def named(self, model, batch, seed):
            try:
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
    """The error again, with what the batches of all ranks have to do with
    it.

    Args:
        error (NotFinite): What the step raised.
        report (BatchReport): Of this rank's batch.
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
        f'no label of the batch can be used: {_join(images)}. The loss '
        'of nothing is no number.'
    )


#: What to look for, how to say it, and what to do.
_REASONS: Sequence[tuple[Callable, Callable, str]] = (
    (
        BatchReport.broken_images,
        lambda found: (
            'images of the batch hold NaN or infinity as the network '
            f'gets them: {_join(found)}.'
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
    """Of a batch, preprocessed again; with less where that fails."""
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
        # Whatever a batch is made of: the step's error is what matters.
        return BatchReport()


def describe(parts: Sequence[dict], ignored: set) -> BatchReport:
    """Count the labels of a batch.

    Args:
        parts (Sequence[dict]): Preprocessed, with ``inputs`` and
            ``data_samples``.
        ignored (set[int]): Class ids that losses pass over; if none is known,
            those of masks 255.
    """
    report, start = BatchReport(), 0
    for part in parts:
        images = _images(part['inputs'])
        samples = part.get('data_samples')
        if not isinstance(samples, (list, tuple)) or len(samples) != len(images):
            samples = [None] * len(images)
        report.parts.append(
            [
                _labels(
                    sample,
                    start + i,
                    not all(bool(torch.isfinite(view).all()) for view in views),
                    ignored,
                )
                for i, (sample, views) in enumerate(zip(samples, images, strict=True))
            ]
        )
        start += len(images)
    return report


def _images(inputs: Any) -> list[list[Tensor]]:
    """The views of each image."""
    if isinstance(inputs, Tensor):
        return [[image] for image in inputs]
    if all(isinstance(view, Tensor) and view.dim() == 4 for view in inputs):
        # Where views differ in number, the model has its own say about it.
        return [list(views) for views in zip(*inputs, strict=False)]
    return [[image] for image in inputs]


def _labels(sample: Any, index: int, bad_input: bool, ignored: set) -> Labels:
    name = getattr(sample, 'img_path', None)
    if name is None:
        number = getattr(sample, 'sample_idx', None)
        name = f'image {index} of the batch' if number is None else f'sample {number}'
    unit, usable = _count(sample, ignored)
    return Labels(
        str(name),
        unit,
        0 if usable is None else int(usable.sum()),
        0 if usable is None else usable.numel(),
        bad_input,
    )


def _count(sample: Any, ignored: set) -> tuple[str, Tensor | None]:
    """What is labeled in a sample, and which labels are of use."""
    if sample is None:
        return '', None
    if 'gt_sem_seg' in sample:
        mask = sample.gt_sem_seg.data
        return 'mask pixels with a class', _not_ignored(mask, ignored or {255})
    if 'gt_instances' in sample:
        boxes = sample.gt_instances.bboxes
        boxes = getattr(boxes, 'tensor', boxes)
        usable = torch.isfinite(boxes).all(1)
        if boxes.shape[1] == 4:
            usable &= (boxes[:, 2:] > boxes[:, :2]).all(1)
        return 'boxes with an area', usable
    if 'gt_score' in sample:
        return 'class scores', torch.isfinite(sample.gt_score)
    if 'gt_label' in sample:
        return 'labels', _not_ignored(sample.gt_label, ignored)
    return '', None


def _not_ignored(ids: Tensor, ignored: set) -> Tensor:
    usable = ids >= 0
    for index in ignored:
        usable = usable & (ids != index)
    return usable
