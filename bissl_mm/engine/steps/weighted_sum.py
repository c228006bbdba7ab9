"""Pretext and downstream loss as one weighted sum: a baseline of the paper."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...hypergradient.linalg.vectors import norm
from ...models.bissl_model import BiSSLModel
from ...registry import OPTIM_WRAPPERS
from ...utils.check import check_keys
from ...utils.errors import ValueRefusal
from ...utils.random import seeded
from ..checks.batch_report import names_its_batch
from .gradients import Gradients
from .optim_wrapper import BiSSLOptimWrapper
from .parts import check_finite, device_of, running_statistics
from .reached import average_reached_, drop_zeros_, fill_


@OPTIM_WRAPPERS.register_module()
@check_keys
class WeightedSumOptimWrapper(BiSSLOptimWrapper):
    r"""One step on :math:`(1-w) \mathcal{L}^P + w \mathcal{L}^D` an alternation.

    The model has ``share_backbone=True``. The loop has one lower and one upper
    step, and ``hypergradient.batches='first'``: the lower step takes the pretext
    batch, the upper step the downstream batch, and then both gradients are
    formed, scaled and summed. Both levels need the same optimizer and schedule,
    which then act as one.

    Args:
        lower (OptimWrapper): For the backbone and :math:`\phi_P`.
        upper (OptimWrapper): For :math:`\phi_D`.
        head_warmup (OptimWrapper): For :math:`\phi_D` before.
        weight (float): :math:`w`, from 0 to 1. Defaults to 0.25, the best of
            the paper.
        clip_norm (float, optional): Largest norm of the summed gradient over
            both heads and the backbone. Defaults to 10, as the levels have it;
            None switches it off.
        **kwargs: See :class:`BiSSLOptimWrapper`.

    Raises:
        ValueError: If ``weight`` is not from 0 to 1.

    Source:
        Eq. (10), B.9.4, arXiv:2410.02387.
    """

    def __init__(
        self,
        *args: Any,
        weight: float = 0.25,
        clip_norm: float | None = 10.0,
        **kwargs: Any,
    ) -> None:
        if not 0 <= weight <= 1:
            raise ValueRefusal(
                f'WeightedSumOptimWrapper: weight is {weight!r}. Write a number '
                'from 0 (pretext loss alone) to 1 (downstream loss alone).'
            )
        super().__init__(*args, **kwargs)
        self.weight, self.clip_norm = weight, clip_norm
        self._pretext: tuple[Any, int] | None = None

    def lower_step(self, model: BiSSLModel, batch: dict, seed: int) -> dict[str, float]:
        """Nothing: :meth:`begin_upper_phase` gets the same batch."""
        return {}

    def begin_upper_phase(
        self,
        model: BiSSLModel,
        batches: Sequence[dict],
        seed: int,
        done_steps: int = 0,
        checked_step: int = 0,
    ) -> None:
        """Keep the pretext batch. No operator is built."""
        self._pretext = batches[0], seed

    @names_its_batch('upper')
    def upper_step(self, model: BiSSLModel, batch: dict, seed: int) -> dict[str, float]:
        """The step.

        Args:
            model (BiSSLModel): Changed: the backbone, both heads, and buffers.
            batch (dict): A downstream batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``pretext_loss`` and ``loss_at_upper`` before the
            step, and ``grad_norm`` of the sum before clipping; means over ranks.
        """
        logs, lower, upper = self.summed_gradient(model, batch, seed)
        total = norm((*lower.values(), *upper.values()))
        numbers = {k: v.item() for k, v in dict(logs, grad_norm=total).items()}
        check_finite('upper level', **numbers)
        if self.clip_norm is not None and numbers['grad_norm'] > self.clip_norm:
            scale = self.clip_norm / numbers['grad_norm']
            torch._foreach_mul_([*lower.values(), *upper.values()], scale)
        self.step_level('lower', model.pretext, lower, {})
        self.step_level('upper', model.downstream, upper, {})
        return numbers

    def summed_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> tuple[dict[str, Tensor], Gradients, Gradients]:
        """The gradient of the sum, the mean over ranks.

        Args:
            model (BiSSLModel): Its buffers change.
            batch (dict): See :meth:`upper_step`.
            seed (int): See :meth:`upper_step`.

        Returns:
            tuple: The losses; the gradient by the pretext model's names, with
            the backbone; that of the downstream head by its model's names.
        """
        assert self._pretext is not None
        pretext_loss, lower = self._part(
            model.pretext, 'lower', *self._pretext, 1 - self.weight
        )
        loss, upper = self._part(model.downstream, 'upper', batch, seed, self.weight)
        for below, above in model.pairs.params:
            if above in upper:
                part = upper.pop(above)
                lower[below] = lower[below] + part if below in lower else part
        heads = dict(zip(model.levels.head_names, model.levels.phi_d, strict=True))
        logs = dict(pretext_loss=pretext_loss, loss_at_upper=loss)
        statistics = [
            *running_statistics(model.pretext),
            *running_statistics(model.downstream),
        ]
        for grads, params, others in (
            (lower, dict(model.pretext.named_parameters()), [*logs.values()]),
            (upper, heads, statistics),
        ):
            unreached = fill_(grads, params)
            drop_zeros_(grads, average_reached_(grads, unreached, others))
        return logs, lower, upper

    def _part(
        self, model: Any, level: str, batch: Any, seed: int, weight: float
    ) -> tuple[Tensor, Gradients]:
        with seeded(seed, device_of(model)):
            parts = self.first_order.prepare(model, level, batch)
        return self.first_order.loss_gradient(model, parts, seed, weight)

    def settings(self) -> dict[str, object]:
        """The settings; a resumed run that changes one says so."""
        return dict(super().settings(), weight=self.weight, clip_norm=self.clip_norm)
