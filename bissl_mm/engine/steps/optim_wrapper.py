"""The gradient steps of Algorithm 1."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from ...hypergradient.linalg.vectors import cosine, norm
from ...hypergradient.regularizers.base import Regularizer
from ...models.bissl_model import BiSSLModel
from ...registry import OPTIM_WRAPPERS
from ...utils.check import check_keys
from ...utils.random import seeded
from ..checks.batch_report import names_its_batch
from .gradients import FirstOrder, Gradients
from .head_at_upper import add_head_gradient_
from .hypergradient import Hypergradient
from .level_optimizers import LevelOptimizers
from .lone_images import FirstGradient
from .parts import check_finite, device_of, running_statistics, solution_logs
from .reached import average_reached_, drop_zeros_, fill_
from .settings import MOVED_OF_WRAPPER, HypergradientSettings, check_weights
from .unrolled import build_system


@OPTIM_WRAPPERS.register_module()
@check_keys
class BiSSLOptimWrapper(LevelOptimizers):
    r"""The optimizers of both levels, and the gradients that BiSSL gives them.

    :class:`BiSSLOptimWrapperConstructor` builds it from a config. As an
    ``OptimWrapperDict`` it has the entries ``'lower'`` and ``'upper'``;
    ``param_scheduler`` uses these names, too. The head warm-up has an
    optimizer of its own, with a constant learning rate.

    The gradient of a level is averaged over ranks. Then ``clip_grad`` of that
    level clips it, over backbone and head together. Then it is applied.

    Args:
        lower (OptimWrapper): For :math:`\theta_P` and :math:`\phi_P`.
        upper (OptimWrapper): For :math:`\theta_D` and :math:`\phi_D`.
        head_warmup (OptimWrapper): For :math:`\phi_D` during the warm-up.
        regularizer (dict): What ties the two backbones at the lower level,
            with its weight :math:`\lambda`. Defaults to the published one,
            ``dict(type='SquaredDistance', weight=0.001)``.
        hypergradient (dict): See :class:`HypergradientSettings`. Defaults to
            the published settings.
        direct_weight (float): Weight :math:`\gamma` of the second upper term
            :math:`\mathcal{L}^D(\theta_D, \phi_D)`. Defaults to 1; the first
            version of the paper has 0.01.
        indirect_weight (float): Weight of the first upper term
            :math:`\mathcal{L}^D(\theta_P, \phi_D)`, for the gradients of head
            and backbone. At 0 this term is not evaluated and no system is
            solved. With ``num_lower_steps=0`` as well, supervised training is
            left. Defaults to 1.
        num_micro_batches (dict, optional): In how many parts a batch passes
            the network, see :class:`FirstOrder`. Defaults to None: one.
        first_order_dtype (str, optional): ``'bfloat16'`` evaluates the losses
            of all gradients under autocast. Parameters and Hessian-vector
            products stay in float32. Defaults to None.

    Raises:
        ValueError: If a setting is out of its range.
        TypeError: If the optimizer of a level scales its loss, accumulates on
            its own or is sharded.

    Source:
        Algorithm 1, 4.2.2 and B.3, arXiv:2410.02387.
    """

    MOVED = MOVED_OF_WRAPPER

    def __init__(
        self,
        lower: OptimWrapper,
        upper: OptimWrapper,
        head_warmup: OptimWrapper,
        *,
        # Read, never written.
        regularizer: dict | Regularizer = dict(),  # noqa: B006
        hypergradient: dict | HypergradientSettings = dict(),  # noqa: B006
        direct_weight: float = 1.0,
        indirect_weight: float = 1.0,
        num_micro_batches: dict[str, int] | None = None,
        first_order_dtype: str | None = None,
    ) -> None:
        settings = HypergradientSettings.read(hypergradient)
        system = self.system = build_system(regularizer, settings, lower)
        first_order = FirstOrder(num_micro_batches, first_order_dtype)
        super().__init__(lower, upper, head_warmup, first_order, system.regularizer)
        check_weights(direct_weight, indirect_weight, settings.head_weight)
        self.direct_weight = direct_weight
        self.indirect_weight = indirect_weight
        self._check_gradient = FirstGradient()

    def begin_alternation(self, index: int, total: int) -> None:
        """Set the weights that change, before the steps of an alternation."""
        self.regularizer.begin_alternation(index, total)

    @names_its_batch('lower')
    def lower_step(self, model: BiSSLModel, batch: dict, seed: int) -> dict[str, float]:
        r"""One step of the lower level (lines 5 to 7 of Algorithm 1).

        Args:
            model (BiSSLModel): Changed: :math:`\theta_P, \phi_P` and the
                pretext model's buffers.
            batch (dict): A pretext batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: Means over ranks. ``pretext_loss``
            :math:`\mathcal{L}^P` and ``proximal_loss`` :math:`\lambda r` are
            those before the step, and ``grad_norm`` is that before clipping.
            ``distance`` is :math:`\|\theta_P - \theta_D\|`. ``pull`` is the
            length of :math:`\lambda(\theta_P - \theta_D)` over that of the
            pretext gradient of the backbone. ``stationarity`` is the length of
            the backbone's whole gradient over the sum of the lengths of its two
            parts: 0 if they cancel, as A.1 assumes of the solution, and 1 if
            they point the same way. The noise of a batch is part of it.
            ``clipped`` is 1 if ``max_norm`` cut the gradient, else 0. With
            ``head_weight`` also ``pretext_loss_at_upper``,
            :math:`\mathcal{L}^P(\theta_D, \phi_P)`.

        Raises:
            FloatingPointError: If the loss or the gradient is not finite;
                the parameters are then unchanged.
        """
        self.system.before_lower_gradient(model)
        logs, grads = self.lower_gradient(model, batch, seed)
        self.system.before_lower_step(model, self['lower'].optimizer, grads)
        return self.step_level('lower', model.pretext, grads, logs)

    def lower_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> tuple[dict[str, Tensor], Gradients]:
        r"""The gradient of :math:`\mathcal{L}^P + \lambda r`, the mean over
        ranks, before clipping.

        Args:
            model (BiSSLModel): The pretext model's buffers change.
            batch (dict): See :meth:`lower_step`.
            seed (int): See :meth:`lower_step`.

        Returns:
            tuple: The logs, as tensors; the gradient by the pretext model's
            names. A parameter that no term depends on has none.
        """
        pretext, levels = model.pretext, model.levels
        with seeded(seed, device_of(pretext)):
            parts = self.first_order.prepare(pretext, 'lower', batch)
            loss, grads = self.first_order.loss_gradient(pretext, parts)
        unreached = fill_(grads, dict(pretext.named_parameters()))
        at_upper = self.system.config.head_weight > 0
        logs = add_head_gradient_(grads, model, parts, seed) if at_upper else {}
        others = [loss, *logs.values(), *running_statistics(pretext)]
        unreached = average_reached_(grads, unreached, others)
        self._check_gradient(grads, self.first_order, batch)
        backbone = [grads[name] for name in levels.lower_names]
        slope = norm(tuple(backbone))
        pull = self.add_pull_(backbone, levels)
        drop_zeros_(grads, unreached)
        return dict(
            pretext_loss=loss,
            proximal_loss=pull.value,
            distance=pull.distance,
            pull=pull.length / slope,
            stationarity=norm(tuple(backbone)) / (slope + pull.length),
            **logs,
        ), grads

    def begin_upper_phase(
        self,
        model: BiSSLModel,
        batches: Sequence[dict],
        seed: Any,
        done_steps: int = 0,
        checked_step: int = 0,
    ) -> None:
        """As :meth:`ImplicitSystem.begin`; unrolled steps have a seed each."""
        self.system.begin(
            model, batches, seed, self.first_order, done_steps, checked_step
        )

    def end_upper_phase(self) -> None:
        """Free the graphs of the operator."""
        self.system.end()

    @names_its_batch('upper')
    def upper_step(self, model: BiSSLModel, batch: dict, seed: int) -> dict[str, float]:
        r"""One step of the upper level (lines 9 to 13 of Algorithm 1).

        Both evaluations of the downstream loss see the same preprocessed
        batch and the same random draws (dropout, RoI sampling).

        Args:
            model (BiSSLModel): Changed: :math:`\theta_D, \phi_D` and the
                downstream model's buffers.
            batch (dict): A downstream batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``loss_at_lower`` is
            :math:`\mathcal{L}^D(\theta_P, \phi_D)` and ``loss_at_upper``
            :math:`\mathcal{L}^D(\theta_D, \phi_D)`, both before the step.
            ``grad_norm`` is that before clipping. About the solve: ``v_norm``,
            ``cosine`` between :math:`v` and :math:`v_{IJ}`, and what
            :func:`solution_logs` lists.

        Raises:
            RuntimeError: Without :meth:`begin_upper_phase`.
            FloatingPointError: If a loss, the solution or the gradient is
                not finite; the parameters are then unchanged. The message
                describes the batch.
        """
        found = self.upper_gradient(model, batch, seed)
        logs = self.step_level('upper', model.downstream, found.gradients, found.logs)
        if found.solution is not None:
            logs.update(solution_logs(found.solution))
        return logs

    def upper_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> Hypergradient:
        r"""The hypergradient of Eq. (7) and the gradient of the head.

        The hypergradient is :math:`v_{IJ}` plus the direct term. Both
        gradients are means over ranks, before clipping.

        Args:
            model (BiSSLModel): The downstream model's buffers change.
            batch (dict): See :meth:`upper_step`.
            seed (int): See :meth:`upper_step`.
        """
        if self.system.bound is None:
            raise RuntimeError('upper_step needs begin_upper_phase first.')
        if not self.indirect_weight:
            return self._direct_gradient(model, batch, seed)
        found = self.first_order.upper_gradient(
            model, batch, seed, self.direct_weight, self.indirect_weight
        )
        v, grads = found.v, found.gradients
        losses = {k: getattr(found, k) for k in ('loss_at_lower', 'loss_at_upper')}
        others = [*losses.values(), *v, *running_statistics(model.downstream)]
        unreached = average_reached_(grads, found.unreached, others)
        try:
            solution = self.system.solve(v)
        except FloatingPointError:
            # Where a loss is to blame, it is named. They are not read before.
            check_finite('upper level', **{k: x.item() for k, x in losses.items()})
            raise
        levels = model.levels
        torch._foreach_add_(
            [grads[n] for n in levels.upper_names], list(solution.value)
        )
        drop_zeros_(grads, unreached)
        grads |= self.system.weight_gradients(levels, solution)
        return Hypergradient(
            dict(**losses, v_norm=norm(v), cosine=cosine(v, solution.value)),
            grads,
            v,
            solution,
        )

    def _direct_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> Hypergradient:
        """The same without the first term of the upper level."""
        downstream = model.downstream
        with seeded(seed, device_of(downstream)):
            parts = self.first_order.prepare(downstream, 'upper', batch)
        loss, grads = self.first_order.loss_gradient(
            downstream, parts, seed, self.direct_weight
        )
        unreached = fill_(grads, dict(downstream.named_parameters()))
        others = [loss, *running_statistics(downstream)]
        drop_zeros_(grads, average_reached_(grads, unreached, others))
        return Hypergradient(dict(loss_at_upper=loss), grads, None, None)

    def settings(self) -> dict[str, object]:
        """The settings; a resumed run that changes one says so."""
        return dict(
            **self.system.settings(),
            direct_weight=self.direct_weight,
            indirect_weight=self.indirect_weight,
            **self.first_order.settings(),
        )

    def state_dict(self) -> dict:
        """State of the optimizers and, within an upper phase, of the solver."""
        kept = self.system.state_dict()
        return super().state_dict() | (dict(solver=kept) if kept else {})

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave."""
        state_dict = dict(state_dict)
        self.system.load_state_dict(state_dict.pop('solver', {}))
        super().load_state_dict(state_dict)
