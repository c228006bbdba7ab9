"""The labels of a batch, and which of them a loss can learn from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Labels:
    """The labels of one image.

    Args:
        name (str): Name of the image.
        unit (str): What is counted.
        usable (int): Number of labels that a loss can learn from.
        total (int): Number of all labels.
        bad_input (bool): Whether the image contains NaN or infinity.
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
    """The batch of one rank, in the parts that pass the network."""

    parts: list[list[Labels]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Labels]:
        for part in self.parts:
            yield from part

    def broken_images(self) -> list[Labels]:
        """Images that contain NaN or infinity."""
        return [image for image in self if image.bad_input]

    def parts_without_labels(self) -> list[list[Labels]]:
        """Parts with labeled images, none of whose labels can be used."""
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


def describe(parts: Sequence[dict], ignored: set) -> BatchReport:
    """Count the labels of a batch.

    Args:
        parts (Sequence[dict]): Preprocessed parts, with ``inputs`` and
            ``data_samples``.
        ignored (set[int]): Class ids that losses ignore. If it is empty, masks
            ignore 255.
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
        # If views differ in number, the model itself refuses them.
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
    """The unit of a sample's labels, and which of them can be used."""
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
