"""Divides a collated batch of any form into parts."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..utils.errors import ValueRefusal


def split(batch: Any, num_parts: int, level: str) -> list[Any]:
    """Cut a collated batch into parts of equal size.

    Args:
        batch (dict): From ``default_collate`` (one tensor, or one per view,
            with the samples first) or ``pseudo_collate`` (lists of samples).
        num_parts (int): Number of parts.
        level (str): Name of the level, for the message.

    Returns:
        list[dict]: The parts; ``[batch]`` if it is one.

    Raises:
        ValueError: If the samples do not divide into that many parts.
    """
    if num_parts == 1:
        return [batch]
    size = num_samples(batch)
    if size % num_parts:
        raise ValueRefusal(
            f'{level} level: a batch of {size} samples on this rank does not '
            f'divide into num_micro_batches={num_parts}. Set a divisor of '
            'batch_size.'
        )
    step = size // num_parts
    return [
        _cut(batch, size, slice(i * step, (i + 1) * step)) for i in range(num_parts)
    ]


def first_samples(batch: Any, number: int) -> Any:
    """The first ``number`` samples of a collated batch.

    Raises:
        ValueError: If it holds fewer.
    """
    size = num_samples(batch)
    if size < number:
        raise ValueRefusal(
            f'hypergradient.batch_size={number}, but a pretext batch has {size} '
            f'samples on this rank. Set it to {size} or less.'
        )
    return _cut(batch, size, slice(0, number))


def num_samples(batch: Any) -> int:
    """Number of samples in a collated batch, with any number of views."""
    inputs = batch['inputs']
    if isinstance(inputs, Tensor):
        return len(inputs)
    first = inputs[0]
    # A list of views contains batches, and a list of samples single images.
    is_views = not isinstance(first, Tensor) or first.dim() == 4
    return len(first) if is_views else len(inputs)


def _cut(value: Any, size: int, part: slice) -> Any:
    if isinstance(value, dict):
        return {key: _cut(v, size, part) for key, v in value.items()}
    if isinstance(value, Tensor):
        return value[part]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if _holds_batches(value, size):
            return [_cut(v, size, part) for v in value]
        return value[part]
    return value


def _holds_batches(values: Sequence, size: int) -> bool:
    """Whether a list goes over views rather than over samples."""
    return len(values) > 0 and all(
        (isinstance(v, Tensor) and v.dim() == 4 or isinstance(v, list))
        and len(v) == size
        for v in values
    )
