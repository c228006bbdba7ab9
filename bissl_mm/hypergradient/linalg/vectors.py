"""Arithmetic on tuples of tensors, each read as one long vector.

The parameters of a backbone are a tuple of tensors of different shapes. Every
vector of the linear system has the same structure. Only :func:`is_zero`
waits for the device. Only functions whose name ends in ``_`` change an argument,
and it is their first. Iterations use these, because fresh memory for ten
million values takes several times as long as the arithmetic.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

Vectors = tuple[Tensor, ...]

_agree: Callable[[Tensor], Tensor] | None = None


@contextmanager
def scalars_agreed(agree: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, ``agree`` is applied to every inner product and norm.

    The last bits of a sum depend on the number of threads and on the
    processor. Ranks with other last bits would take other branches and steps.
    With the scalars of one rank all take the same.

    Args:
        agree (Callable): Maps the tensor of one rank to one that is equal on
            all ranks. All ranks call it in the same order.
    """
    global _agree
    before, _agree = _agree, agree
    try:
        yield
    finally:
        _agree = before


def agreed(scalars: Tensor) -> Tensor:
    """Scalars of this rank, made equal on all ranks; see
    :func:`scalars_agreed`."""
    return scalars if _agree is None else _agree(scalars)


def check_same_structure(
    name: str, given: Sequence[Tensor], expected: Sequence[Tensor]
) -> None:
    """Raise a ``ValueError`` unless two vectors have tensors of equal shapes.

    Args:
        name (str): What ``given`` is, for the message.
        given (Sequence[Tensor]): The vector to check.
        expected (Sequence[Tensor]): The vector that sets the structure.
    """
    if len(given) != len(expected):
        raise ValueError(
            f'{name} has {len(given)} tensors, but the operator '
            f'acts on {len(expected)}. Pass one tensor for each '
            'backbone parameter, in the same order.'
        )
    for i, (a, b) in enumerate(zip(given, expected, strict=True)):
        if a.shape != b.shape:
            raise ValueError(
                f'{name}: tensor {i} has shape {tuple(a.shape)}, but the '
                f'operator expects {tuple(b.shape)}. Pass the tensors in the '
                'order of the backbone parameters.'
            )


def tensor_dots(x: Vectors, y: Vectors) -> Tensor:
    """Inner product of each pair of tensors.

    Returns:
        Tensor: Shape ``(len(x), )``.
    """
    return agreed(_tensor_dots(x, y))


def dot(x: Vectors, y: Vectors) -> Tensor:
    """Inner product of two vectors, a tensor without dimensions."""
    return agreed(_tensor_dots(x, y).sum())


def _tensor_dots(x: Vectors, y: Vectors) -> Tensor:
    return torch.stack(
        [torch.dot(a.flatten(), b.flatten()) for a, b in zip(x, y, strict=True)]
    )


def norm(x: Vectors) -> Tensor:
    """Euclidean norm of a vector, a tensor without dimensions."""
    return agreed(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(x)))))


def cosine(x: Vectors, y: Vectors) -> Tensor:
    """Cosine of the angle between two vectors; 0 if one is zero."""
    return dot(x, y) / (norm(x) * norm(y)).clamp_min(torch.finfo(x[0].dtype).tiny)


def add_scaled(x: Vectors, y: Vectors, scale: Tensor | float) -> Vectors:
    """``x + scale * y``.

    Args:
        x (Vectors): First vector.
        y (Vectors): Second vector.
        scale (Tensor or float): One factor for the whole vector (a number or
            a tensor without dimensions) or, of shape ``(len(x), )``, one for
            each tensor.
    """
    if isinstance(scale, Tensor) and scale.dim() == 1:
        scaled = torch._foreach_mul(list(y), list(scale.unbind()))
    else:
        scaled = torch._foreach_mul(list(y), scale)
    return tuple(torch._foreach_add(list(x), scaled))


def add_scaled_(x: Vectors, y: Vectors, scale: Tensor, buffer: Vectors) -> None:
    """``x += scale * y``, with the same bits as :func:`add_scaled`.

    Args:
        x (Vectors): Changed.
        y (Vectors): Second vector.
        scale (Tensor): See :func:`add_scaled`.
        buffer (Vectors): Overwritten; shares no memory with the others.
    """
    torch._foreach_copy_(list(buffer), list(y))
    _scale_(buffer, scale)
    torch._foreach_add_(list(x), list(buffer))


def scale_add_(x: Vectors, scale: Tensor, y: Vectors) -> None:
    """``x = y + scale * x``, with the same bits as
    ``add_scaled(y, x, scale)``."""
    _scale_(x, scale)
    torch._foreach_add_(list(x), list(y))


def _scale_(x: Vectors, scale: Tensor) -> None:
    torch._foreach_mul_(list(x), list(scale.unbind()) if scale.dim() == 1 else scale)


def is_zero(x: Vectors) -> bool:
    """Whether all values are 0. Waits for the device, once on a GPU."""
    if x[0].is_cuda:
        return not torch.stack([a.any() for a in x]).any().item()
    # On a processor, the first tensor tells most of the time.
    return not any(bool(a.any()) for a in x)


def subtract(x: Vectors, y: Vectors) -> Vectors:
    """``x - y``."""
    return tuple(torch._foreach_sub(list(x), list(y)))


def zeros_like(x: Vectors) -> Vectors:
    """The zero vector with the structure of ``x``."""
    return tuple(torch.zeros_like(a) for a in x)


def clone(x: Vectors) -> Vectors:
    """A copy of ``x``, detached from any graph."""
    return tuple(a.detach().clone() for a in x)
