"""Batches in the form that a config's pipelines give them, without its data."""

import copy
import os.path as osp
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image
from torch import Tensor

from ...config.dataloaders import pipelines_of
from ...datasets.stream_parts import build_collate
from ...utils.errors import Refusal, ValueRefusal
from ...utils.random import seeded

#: Height and width of the images that the data are assumed to have.
SOURCE = (375, 500)
#: Objects in an image, where a task has any.
OBJECTS = 5
#: Random transforms are drawn this often; the largest image is taken.
_DRAWS = 8


class Sample(NamedTuple):
    """One sample of a dataloader.

    Attributes:
        make (Callable): Returns the sample, as the data set does.
        collate (Callable): Joins samples to a batch.
        size (str): Height and width of its images, in words.
    """

    make: Callable[[], Any]
    collate: Callable[[list], Any]
    size: str

    def batch(self, number: int) -> Any:
        """A batch of copies of the sample."""
        return self.collate([self.make() for _ in range(number)])


def sample_of(where: str, loader: Any) -> Sample:
    """Run the pipeline of a dataloader on an image of noise.

    Args:
        where (str): Name of the dataloader, for messages.
        loader (dict): Its config.

    Raises:
        ValueError: If the pipeline cannot be read from the config, or if it does
            not run without the data.
    """
    steps = pipelines_of(loader)
    if not steps:
        raise ValueRefusal(
            f'--dry-run memory: {where}.dataset has no pipeline in the config, so the '
            'size of its images is unknown. Write the data set as a dict.'
        )
    scope = _scope_of(loader['dataset'])
    with tempfile.TemporaryDirectory() as folder, _in_scope(scope):
        source = _source(folder)
        draws = []
        for seed in range(_DRAWS):
            with seeded(seed):
                draws.append(_run(where, steps, copy.deepcopy(source)))
    largest = max(draws, key=_pixels)
    return Sample(
        lambda: copy.deepcopy(largest),
        build_collate(loader.get('collate_fn')),
        ' and '.join(
            sorted({'x'.join(map(str, x.shape[-2:])) for x in _images(largest)})
        ),
    )


def _scope_of(dataset: Any) -> str | None:
    """The library that the innermost data set belongs to."""
    scope = None
    while isinstance(dataset, dict):
        scope = dataset.get('_scope_', scope)
        inner = dataset.get('datasets')
        dataset = inner[0] if inner else dataset.get('dataset')
    return scope


def _in_scope(scope: str | None):
    return DefaultScope.overwrite_default_scope(scope)


def _source(folder: str) -> dict:
    """What a data set knows about an image, with every kind of annotation."""
    height, width = SOURCE
    draw = np.random.default_rng(0)
    path, labels = osp.join(folder, 'image.png'), osp.join(folder, 'labels.png')
    noise = draw.integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    Image.fromarray(np.zeros((height, width), np.uint8)).save(labels)
    boxes = [
        [20.0 + 70 * i, 30.0 + 30 * i, 120.0 + 70 * i, 180.0 + 30 * i]
        for i in range(OBJECTS)
    ]
    return dict(
        img_path=path,
        img_id=0,
        sample_idx=0,
        height=height,
        width=width,
        ori_shape=(height, width),
        gt_label=0,
        instances=[
            dict(
                bbox=box,
                bbox_label=0,
                ignore_flag=0,
                mask=[[box[0], box[1], box[2], box[1], box[2], box[3]]],
            )
            for box in boxes
        ],
        seg_map_path=labels,
        label_map=None,
        reduce_zero_label=False,
        seg_fields=[],
    )


def _run(where: str, steps: list, results: Any) -> Any:
    for step in steps:
        name = step.get('type') if isinstance(step, dict) else type(step).__name__
        try:
            transform = TRANSFORMS.build(step) if isinstance(step, dict) else step
            results = transform(results)
        except Refusal:
            raise
        except Exception as error:
            raise ValueRefusal(
                f'--dry-run memory: the transform {name} of {where} does not run on an '
                f'image without its data set ({type(error).__name__}: {error}). Leave '
                'it out of the config for the dry run.'
            ) from error
        if results is None:
            raise ValueRefusal(
                f'--dry-run memory: the transform {name} of {where} rejects an image '
                f'of {SOURCE[1]}x{SOURCE[0]} pixels with {OBJECTS} objects. Leave it '
                'out of the config for the dry run.'
            )
    if not (isinstance(results, dict) and _images(results)):
        raise ValueRefusal(
            f'--dry-run memory: the pipeline of {where} gives no tensor "inputs". End '
            'it with PackInputs or its like.'
        )
    return results


def _images(sample: Any) -> list[Tensor]:
    inputs = sample.get('inputs')
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    return [image for image in inputs if isinstance(image, Tensor)]


def _pixels(sample: Any) -> int:
    return sum(image.numel() for image in _images(sample))
