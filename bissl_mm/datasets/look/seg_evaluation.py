"""Checks what the first validation of a segmentor needs."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

from ...utils.random import seeded
from .findings import Look
from .headers import describe, read_header
from .parts import PartLook, type_name
from .seg_parts import image_reading, mask_loader, metrics, segmentor

#: Number of images of different sizes with which a pipeline is tried.
_TRIED = 16


def check_seg_inference(look: Look) -> None:
    """Check settings of ``test_cfg``, which mmseg reads at the first prediction."""
    if not any(
        mask_loader(part) is not None for part in look if part.name in ('val', 'test')
    ):
        return
    key, model = segmentor(look.cfg)
    cfg = model.get('test_cfg') or {}
    if type_name(model) not in ('EncoderDecoder', 'CascadeEncoderDecoder'):
        return
    mode = cfg.get('mode', 'whole')
    if mode not in ('whole', 'slide'):
        look.refuse(
            f"{key}.test_cfg.mode is {mode!r}. Set it to 'whole' or to 'slide'."
        )
    if mode != 'slide':
        return
    crop, stride = cfg.get('crop_size'), cfg.get('stride')
    if not _is_pair(crop) or not _is_pair(stride):
        look.refuse(
            f"{key}.test_cfg with mode='slide' needs crop_size and stride, "
            f'but has {crop!r} and {stride!r}. Write two positive whole numbers '
            'for each.'
        )
    elif stride[0] > crop[0] or stride[1] > crop[1]:
        look.refuse(
            f'{key}.test_cfg: stride {tuple(stride)} is larger than '
            f'crop_size {tuple(crop)}, so pixels between the crops get no '
            'prediction. Set a stride that is not larger than crop_size.'
        )


def check_seg_evaluation(look: Look) -> None:
    """Try the pipelines of validation and test.

    The images of a batch must have one size. A mask must have the size of its
    image as stored in the file.
    """
    if look.refusals:
        return
    for part in look:
        if part.name not in ('val', 'test'):
            continue
        if mask_loader(part) is not None:
            sizes = _decoded_sizes(part)
            shapes = _tried(look, part, sizes)
            if shapes is not None:
                _check_batches(look, part, [shapes.get(s) for s in sizes])
        else:
            _check_masks_are_read(look, part)


def _check_masks_are_read(look: Look, part: PartLook) -> None:
    """Refuse a metric that compares masks if the split reads no masks."""
    needed = [
        key
        for key, metric in metrics(look.cfg, part.name)
        if not metric.get('format_only')
    ]
    if not needed or not part.infos:
        return
    what = (
        'LoadAnnotations to its pipeline'
        if 'seg_map_path' in part.infos[0]
        else 'data_prefix.seg_map_path'
    )
    look.refuse(
        f'{part.key}: {needed[0]} (IoUMetric) compares with masks, but this '
        f'data set reads none. Add {what}.'
    )


def _is_pair(value: Any) -> TypeGuard[Sequence[int]]:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(v, int) and v > 0 for v in value)
    )


def _decoded_sizes(part: PartLook) -> list[tuple[int, int]]:
    how = image_reading(part)
    return [read_header(info['img_path']).decoded_size(*how) for info in part.infos]


def _tried(
    look: Look, part: PartLook, sizes: Sequence[tuple[int, int]]
) -> dict[tuple, tuple] | None:
    """Decoded size -> height and width after the pipeline.

    None if anything was refused.
    """
    positions: dict[tuple, int] = {}
    for position, size in enumerate(sizes):
        positions.setdefault(size, position)
    number = _TRIED if (part.loader.get('batch_size') or 1) > 1 else 1
    shapes = {}
    for size, position in list(positions.items())[:number]:
        try:
            with seeded(0):
                sample = part.whole[part.indices[position]]
            inputs, mask = sample['inputs'], sample['data_samples'].gt_sem_seg
        except Exception as error:
            look.refuse(
                f'{part.key}: the pipeline fails on '
                f"'{part.infos[position]['img_path']}' "
                f'({type(error).__name__}: {error}). Correct its files or '
                'the pipeline.'
            )
            return None
        shapes[size] = tuple(inputs.shape[-2:])
        stored = sample['data_samples'].metainfo.get('ori_shape')
        if (
            metrics(look.cfg, part.name)
            and stored is not None
            and tuple(mask.shape[-2:]) != tuple(stored[:2])
        ):
            look.refuse(
                f'{part.key}: the pipeline changes the size of the mask of '
                f"'{part.infos[position]['img_path']}' to "
                f'{describe(mask.shape[:-3:-1])}, but predictions are compared '
                f"at the file's size, {describe(size)}. Put LoadAnnotations "
                'after the transforms that resize, crop or pad.'
            )
            return None
    return shapes


def _check_batches(look: Look, part: PartLook, shapes: Sequence[tuple | None]) -> None:
    """Refuse batches with images of several sizes.

    mmseg's preprocessor stacks them in an evaluation without padding.
    """
    _, model = segmentor(look.cfg)
    batch_size = part.loader.get('batch_size') or 1
    preprocessor = model.get('data_preprocessor') or {}
    if (
        type_name(preprocessor) != 'SegDataPreProcessor'
        or batch_size == 1
        or len(set(shapes) - {None}) < 2
    ):
        return
    per_rank = [shapes[rank :: look.world_size] for rank in range(look.world_size)]
    mixed = any(
        len(set(own[i * batch_size : (i + 1) * batch_size]) - {None}) > 1
        for own in per_rank
        for i in range(math.ceil(len(own) / batch_size))
    )
    if not mixed and not (part.loader.get('sampler') or {}).get('shuffle'):
        return
    first, second = sorted({shape for shape in shapes if shape is not None})[:2]
    one, other = shapes.index(first), shapes.index(second)
    look.refuse(
        f'{part.key}: the images of a batch must have one size after the '
        'pipeline, but '
        f"'{part.infos[one]['img_path']}' has {describe(first[::-1])} "
        f"and '{part.infos[other]['img_path']}' "
        f'{describe(second[::-1])} (width x height), with batch_size='
        f'{batch_size}. Set {part.name}_dataloader.batch_size=1.'
    )
