"""Refuse losses that compare images but get a single one.

SimCLR on a single image has nothing to compare it with. The loss, its gradient
and its Hessian are exactly zero, and the hypergradient is v itself. With several
processes, the images of all processes are compared.
"""

from typing import Any

from torch import nn

from ...datasets.batch_parts import num_samples
from ...hypergradient.linalg.vectors import is_zero
from ...utils.errors import ValueRefusal
from .gradients import FirstOrder, Gradients

#: Pretext models that compare an image with the others of its batch, without a
#: queue of older images.
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
    """Refuse, before training, settings that leave one image per part.

    Args:
        pretext (nn.Module): The pretext model.
        first_order (FirstOrder): Knows the number of parts.
        hessian_batch_size (int, optional): ``hypergradient.batch_size``.
        batch_size (int): Pretext images per process.
        num_processes (int): With several processes, nothing is refused.

    Raises:
        ValueError: Naming the level and the setting. It is also raised for a
            batch norm over one vector per image, which has no statistics of a
            single image.
    """
    if num_processes > 1:
        return
    kinds = {kind.__name__ for kind in type(pretext).__mro__}
    compares = bool(kinds & set(_COMPARE))
    # mmpretrain's heads see one vector per image. Of others this is not known.
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
        """Check the first gradient; later ones pass.

        Args:
            grads (dict[str, Tensor]): The gradient of a lower step, as the
                mean over ranks.
            first_order (FirstOrder): Knows the number of parts.
            batch (dict): The pretext batch of this rank, as collated.

        Raises:
            ValueError: On every rank alike, naming the setting.
        """
        if not self._is_seen and is_zero(tuple(grads.values())):
            raise ValueRefusal(
                'lower level: the gradient of the pretext loss is exactly '
                'zero in all parameters, so nothing would be learned. '
                + _about('lower', first_order, count_images(batch), None)
            )
        self._is_seen = True


def count_images(batch: Any) -> int:
    """Images of a collated batch; 0 if its form is unknown."""
    try:
        return num_samples(batch)
    except (KeyError, TypeError, IndexError):
        return 0


def zero_hessian_text(
    first_order: FirstOrder, size: int, hessian_batch_size: int | None
) -> str:
    """The message about a Hessian that is exactly zero.

    Args:
        first_order (FirstOrder): Knows the number of parts.
        size (int): Images of a Hessian batch of this rank.
        hessian_batch_size (int, optional): ``hypergradient.batch_size``.
    """
    return (
        'upper level: the Hessian of the pretext loss times v is exactly '
        'zero, so every solver would give v_IJ = v. '
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
        + (
            ' parameters that hypergradient.params names.'
            if level == 'hessian'
            else '.'
        )
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
