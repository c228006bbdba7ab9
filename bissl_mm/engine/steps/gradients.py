"""Losses of both levels and their first derivatives."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ...datasets.batch_parts import split
from ...hypergradient import Vectors
from ...models.bissl_model import BiSSLModel
from ...models.losses.functional import loss_with_state
from ...models.losses.moved_once import MovedOnce
from ...utils.check import check_in, check_known_keys, check_positive_int
from ...utils.compat import plain_checkpoints
from ...utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ...utils.random import fold_seed, seeded
from .parts import device_of, total_loss
from .reached import fill_

#: What can pass the network in parts.
LEVELS = ('lower', 'upper', 'hessian')

#: By the names of a model's trained parameters.
Gradients = dict[str, Tensor]


class UpperGradient(NamedTuple):
    r"""First derivatives of an upper step.

    ``loss_at_lower`` is :math:`\mathcal{L}^D(\theta_P, \phi_D)`, and
    ``loss_at_upper`` is :math:`\mathcal{L}^D(\theta_D, \phi_D)`. ``v`` is the
    gradient of the first in :math:`\theta_P`. ``gradients`` holds, by names of
    the downstream model, the gradient of both in the head and that of the second
    in :math:`\theta_D`. ``unreached`` names those of which the second has none; their
    gradient is zero, or that of the first.
    """

    loss_at_lower: Tensor
    loss_at_upper: Tensor
    v: Vectors
    gradients: Gradients
    unreached: list[str]


class FirstOrder:
    """Evaluates losses and first derivatives, in parts and in a precision.

    Args:
        num_micro_batches (dict, optional): In how many parts a rank's batch
            passes the network, by ``'lower'``, ``'upper'`` and ``'hessian'``.
            This is for batches that do not fit into memory. Gradients are those
            of the whole batch if the loss is a mean over samples and no layer
            mixes samples (MAE, a classifier without batch norm). Batch norm and
            contrastive losses see only the part. With ``'hessian'`` above 1
            every product builds its graphs anew. Defaults to None. A level that
            is not given has one part.
        dtype (str, optional): ``'bfloat16'`` or None.

    Raises:
        TypeError: For an unknown level.
        ValueError: If a number is not positive, or for another type.
    """

    def __init__(
        self, num_micro_batches: dict[str, int] | None, dtype: str | None
    ) -> None:
        given = dict(num_micro_batches or {})
        check_known_keys('num_micro_batches', given, LEVELS)
        for level, number in given.items():
            check_positive_int('num_micro_batches', level, number)
        if dtype == 'float16':
            raise ValueRefusal(
                "first_order_dtype='float16' needs a loss scale, which the "
                "hand-set gradients do not have. Set 'bfloat16'."
            )
        check_in('BiSSLOptimWrapper', 'first_order_dtype', dtype, (None, 'bfloat16'))
        self.num_parts = {level: given.get(level, 1) for level in LEVELS}
        self.dtype = dtype

    def settings(self) -> dict[str, object]:
        """The settings; a resumed run that changes one says so."""
        parts = {f'num_micro_batches.{k}': v for k, v in self.num_parts.items()}
        return dict(first_order_dtype=self.dtype, **parts)

    def prepare(self, model: BaseModel, level: str, batch: Any) -> list[dict]:
        """Cut a collated batch and preprocess its parts.

        Args:
            model (BaseModel): Its data preprocessor is used.
            level (str): ``'lower'``, ``'upper'`` or ``'hessian'``.
            batch (dict): As collated.

        Raises:
            ValueError: See :func:`split`.
        """
        return [
            model.data_preprocessor(part, True)
            for part in split(batch, self.num_parts[level], level)
        ]

    def loss_gradient(
        self,
        model: BaseModel,
        parts: Sequence[dict],
        seed: int | None = None,
        weight: float = 1.0,
    ) -> tuple[Tensor, Gradients]:
        """The loss of a batch and its gradient.

        Args:
            model (BaseModel): Its buffers change. An averaged model in it
                (BYOL's target), a center (DINO's) and a teacher (CAE's) are updated
                once.
            parts (Sequence[dict]): From :meth:`prepare`.
            seed (int, optional): Each part gets its own seed from this one.
                Without it the parts draw from the current generator, one after
                the other, as the whole batch would.
            weight (float): Factor of the gradient. Defaults to 1.

        Returns:
            tuple: The unweighted loss as the mean over the parts, and the
            gradient by name in every trained parameter on which it depends. As with
            ``backward``, the others have none.
        """
        params = {name: p for name, p in model.named_parameters() if p.requires_grad}
        averages = MovedOnce(model, len(parts))
        losses = []
        total: Sequence[Tensor | None] = [None] * len(params)
        for i, data in enumerate(parts):
            with ExitStack() as stack:
                if seed is not None:
                    stack.enter_context(seeded(part_seed(seed, i), device_of(model)))
                stack.enter_context(averages.part())
                with plain_checkpoints(), self._precision(model):
                    loss = total_loss(model, data)
            grads = _reached_of(loss * (weight / len(parts)), list(params.values()))
            total = _sum(total, grads)
            losses.append(loss.detach())
        return torch.stack(losses).mean(), {
            name: grad
            for name, grad in zip(params, total, strict=True)
            if grad is not None
        }

    def upper_gradient(
        self,
        model: BiSSLModel,
        batch: Any,
        seed: int,
        direct_weight: float,
        indirect_weight: float = 1.0,
    ) -> UpperGradient:
        r"""The first derivatives of an upper step.

        Args:
            model (BiSSLModel): Its downstream model's buffers change.
            batch (dict): A downstream batch, as collated.
            seed (int): Seed of the random draws, which are the same in both
                terms.
            direct_weight (float): Weight :math:`\gamma` of the second term.
            indirect_weight (float): Weight of the first term, in :math:`v` and
                in the gradient of the head. Defaults to 1.

        Raises:
            ValueError: See :func:`split`.
        """
        downstream, levels = model.downstream, model.levels
        with seeded(seed, device_of(downstream)):
            parts = self.prepare(downstream, 'upper', batch)
        # The evaluation at the lower backbone comes first, because it changes
        # nothing. The one at the upper backbone updates running statistics.
        loss_at_lower, v, head_grads = self.gradients_at_lower(model, parts, seed)
        if indirect_weight != 1:
            torch._foreach_mul_(list(v) + head_grads, indirect_weight)
        loss_at_upper, grads = self.loss_gradient(
            downstream, parts, seed, direct_weight
        )
        unreached = fill_(grads, dict(downstream.named_parameters()))
        if head_grads:
            torch._foreach_add_([grads[n] for n in levels.head_names], head_grads)
        return UpperGradient(loss_at_lower, loss_at_upper, v, grads, unreached)

    def gradients_at_lower(
        self, model: BiSSLModel, parts: Sequence[dict], seed: int
    ) -> tuple[Tensor, Vectors, list[Tensor]]:
        r"""Gradients of :math:`\mathcal{L}^D(\theta_P, \phi_D)`.

        Args:
            model (BiSSLModel): Not changed; neither are the annotations.
            parts (Sequence[dict]): From :meth:`prepare`.
            seed (int): Each part gets its own seed from this one.

        Returns:
            tuple: The loss, the gradient :math:`v` in :math:`\theta_P`, and the
            gradient in the head :math:`\phi_D`. They are zero where the loss
            does not depend on a parameter.
        """
        backbone, head = model.lower_backbone(), model.upper_head()
        params = (*backbone, *head)
        state = model.upper_state_at_lower()
        losses = []
        total: Sequence[Tensor] = ()
        for i, data in enumerate(parts):
            with seeded(part_seed(seed, i), device_of(model)), self._precision(model):
                loss = loss_with_state(model.downstream, state, data)
            grads = gradient_of(loss / len(parts), params)
            total = torch._foreach_add(tuple(total), grads) if total else grads
            losses.append(loss.detach())
        return (
            torch.stack(losses).mean(),
            tuple(total[: len(backbone)]),
            list(total[len(backbone) :]),
        )

    def check_params(self, model: nn.Module) -> None:
        """Refuse parameters for which the precision has no effect.

        Raises:
            TypeError: For a float64 parameter, which autocast ignores.
        """
        if self.dtype is None:
            return
        for name, param in model.named_parameters():
            if param.dtype is torch.float64:
                raise TypeRefusal(
                    f'first_order_dtype={self.dtype!r} has no effect on '
                    f'float64 parameters, and {name} is one. Set '
                    'first_order_dtype=None, or convert the model to '
                    'float32.'
                )

    @contextmanager
    def _precision(self, model: nn.Module) -> Iterator[None]:
        if self.dtype is None:
            yield
            return
        self.check_params(model)
        try:
            with torch.autocast(device_of(model).type, getattr(torch, self.dtype)):
                yield
        except RuntimeError as error:
            # Among others mmcv's RoIAlign on a processor.
            if self.dtype not in str(error).lower():
                raise
            raise RuntimeRefusal(
                f'first_order_dtype={self.dtype!r}: an operator of '
                f'{type(model).__name__} does not take this type (torch: {error}). Set '
                'optim_wrapper.first_order_dtype=None.'
            ) from error


def gradient_of(loss: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of a scalar; zero where it does not depend on a parameter."""
    return [
        torch.zeros_like(p) if g is None else g
        for g, p in zip(_reached_of(loss, params), params, strict=True)
    ]


def _reached_of(loss: Tensor, params: Sequence[Tensor]) -> list[Tensor | None]:
    """The same with None where the loss does not depend on a parameter."""
    grads = torch.autograd.grad(loss, params, allow_unused=True)
    seen: set[int] = set()
    found: list[Tensor | None] = []
    for grad in grads:
        # Parameters that are summed share one tensor, to which others add in place.
        if grad is not None:
            grad = grad.contiguous()
            storage = grad.untyped_storage()._cdata
            grad = grad.clone() if storage in seen else grad
            seen.add(storage)
        found.append(grad)
    return found


def _sum(total: Sequence[Tensor | None], grads: Sequence[Tensor | None]) -> list:
    """The sum of two parts' gradients, in the place of the first."""
    both = [
        (a, b)
        for a, b in zip(total, grads, strict=True)
        if a is not None and b is not None
    ]
    if both:
        # One call for all. The sums of single tensors would be a third set of them.
        torch._foreach_add_(*map(list, zip(*both, strict=True)))
    return [b if a is None else a for a, b in zip(total, grads, strict=True)]


def part_seed(seed: int, index: int) -> int:
    """Seed of the ``index``-th part of a batch."""
    return fold_seed(seed, index) if index else seed
