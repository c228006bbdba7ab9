"""Losses that compare images, and parts that hold one image alone.

SimCLR on a single image has nothing to tell it from: the loss, its gradient
and its Hessian are exactly zero, and the system of the hypergradient is solved
by doing nothing. On several processes the images of all are compared.
"""

from typing import Any

from torch import nn

from ...datasets.batch_parts import num_samples
from ...utils.errors import ValueRefusal
from .gradients import FirstOrder, Gradients

#: Pretext models that tell an image from the others of its batch and keep no
#: queue of older ones.
_COMPARE = ('SimCLR', 'MoCoV3')
_NEEDS = (
    'a loss that compares the images of a batch needs at least 2 in '
    'each part on each process'
)


def check_parts(
    pretext: nn.Module,
    first_order: FirstOrder,
    hessian_batch_size: int | None,
    batch_size: int,
    num_processes: int,
) -> None:
    """Refuse before training what is known to leave one image a part.

    Args:
        pretext (nn.Module): The pretext model.
        first_order (FirstOrder): Knows the number of parts.
        hessian_batch_size (int, optional): See :class:`BiSSLOptimWrapper`.
        batch_size (int): Pretext images of a process.
        num_processes (int): With several, nothing is known.

    Raises:
        ValueError: Naming the level and the setting. Batch norms of vectors,
            one an image, are nothing of one image either.
    """
    if num_processes > 1:
        return
    kinds = {kind.__name__ for kind in type(pretext).__mro__}
    compares = bool(kinds & set(_COMPARE))
    # mmpretrain's heads see one vector an image; of others nothing is known.
    norm = (
        next(
            (
                name
                for name, module in pretext.named_modules()
                if isinstance(module, nn.BatchNorm1d)
            ),
            None,
        )
        if 'BaseSelfSupervisor' in kinds
        else None
    )
    if not compares and norm is None:
        return
    why = (
        'loss and Hessian are exactly zero; ' + _NEEDS
        if compares
        else f"the batch norm '{norm}' has no statistics; it needs at least 2"
    )
    for level, size in (
        ('lower', batch_size),
        ('hessian', hessian_batch_size or batch_size),
    ):
        if size // first_order.num_parts[level] < 2:
            raise ValueRefusal(
                f'{type(pretext).__name__}: '
                f'{_setting(level, size, first_order, hessian_batch_size)} '
                f'leaves 1 image in a part of the {level} batch, where {why}.'
            )


class FirstGradient:
    """Refuses a pretext loss whose first gradient is exactly zero."""

    def __init__(self) -> None:
        self._is_seen = False

    def __call__(self, grads: Gradients, first_order: FirstOrder, batch: Any) -> None:
        """Look at it; later ones are not looked at.

        Args:
            grads (dict[str, Tensor]): Of a lower step, the means over ranks.
            first_order (FirstOrder): Knows the number of parts.
            batch (dict): The pretext batch of this rank, as collated.

        Raises:
            ValueError: Naming the setting, on every rank alike.
        """
        if not self._is_seen and not any(bool(grad.any()) for grad in grads.values()):
            raise ValueRefusal(
                'lower level: the gradient of the pretext loss is exactly '
                'zero in all parameters, so nothing would be learned. '
                + _about('lower', first_order, count_images(batch), None)
            )
        self._is_seen = True


def count_images(batch: Any) -> int:
    """Of a collated batch; 0 of one in an unknown form."""
    try:
        return num_samples(batch)
    except (KeyError, TypeError, IndexError):
        return 0


def zero_hessian_text(
    first_order: FirstOrder, size: int, hessian_batch_size: int | None
) -> str:
    """What to say of a Hessian that is exactly zero.

    Args:
        first_order (FirstOrder): Knows the number of parts.
        size (int): Images of a Hessian batch of this rank.
        hessian_batch_size (int, optional): See :class:`BiSSLOptimWrapper`.
    """
    return (
        'upper level: the Hessian of the pretext loss times v is exactly '
        'zero, so v_IJ would be v whatever the solver. '
        + _about('hessian', first_order, size, hessian_batch_size)
    )


def _about(
    level: str, first_order: FirstOrder, size: int, hessian_batch_size: int | None
) -> str:
    number = size // first_order.num_parts[level]
    setting = _setting(level, size, first_order, hessian_batch_size)
    if number == 1:
        return f'{setting} leaves 1 image in a part; {_NEEDS}. Set it accordingly.'
    return (
        f'({setting}: {number} images in a part.) Check that the pretext '
        'loss depends on the backbone'
        + (' parameters that jacobian_params names.' if level == 'hessian' else '.')
    )


def _setting(
    level: str, size: int, first_order: FirstOrder, hessian_batch_size: int | None
) -> str:
    text = f'a batch of {size} image' + 's' * (size != 1)
    if level == 'hessian' and hessian_batch_size is not None:
        text = f'hypergradient.batch_size={hessian_batch_size}'
    number = first_order.num_parts[level]
    return text + (
        f' with num_micro_batches=dict({level}={number})' if number > 1 else ''
    )
