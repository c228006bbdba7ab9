"""The gradient steps of Algorithm 1."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from ...hypergradient import Solution, Vectors
from ...hypergradient.linalg.vectors import cosine, norm
from ...hypergradient.regularizer import Regularizer
from ...models.bissl_model import BiSSLModel
from ...registry import OPTIM_WRAPPERS, build_regularizer
from ...utils.check import check_keys, check_non_negative
from ...utils.errors import ValueRefusal
from ...utils.random import seeded
from ..checks.batch_report import names_its_batch
from ..distributed import average_
from .gradients import FirstOrder, Gradients
from .hypergradient import ImplicitSystem
from .lone_images import FirstGradient
from .parts import (
    check_finite,
    check_plain,
    device_of,
    running_statistics,
    solution_logs,
    take_clipping,
)
from .settings import MOVED_OF_WRAPPER, HypergradientSettings

#: For messages.
_WHERE = dict(lower='lower level', upper='upper level', head_warmup='head warm-up')


class Hypergradient(NamedTuple):
    r"""What an upper step computes before it changes anything.

    ``logs`` are tensors of one number, ``gradients`` go by the downstream
    model's names, ``v`` and the ``solution`` with :math:`v_{IJ}` are None
    without the indirect term.
    """

    logs: dict[str, Tensor]
    gradients: Gradients
    v: Vectors | None
    solution: Solution | None


@OPTIM_WRAPPERS.register_module()
@check_keys
class BiSSLOptimWrapper(OptimWrapperDict):
    r"""Two optimizers and the gradients that BiSSL gives them.

    Built by :class:`BiSSLOptimWrapperConstructor` from a config. As an
    ``OptimWrapperDict`` it has the entries ``'lower'`` and ``'upper'``, which
    is also how ``param_scheduler`` names them; the head warm-up has an
    optimizer of its own with a constant learning rate.

    Each level's gradient is averaged over ranks, then clipped as that level's
    ``clip_grad`` says, over backbone and head together, then applied.

    Args:
        lower (OptimWrapper): For :math:`\theta_P` and :math:`\phi_P`.
        upper (OptimWrapper): For :math:`\theta_D` and :math:`\phi_D`.
        head_warmup (OptimWrapper): For :math:`\phi_D` during the warm-up.
        regularizer (dict): What ties the two backbones at the lower level,
            with its weight :math:`\lambda`. Defaults to
            ``dict(type='SquaredDistance', weight=0.001)``, the published one.
        hypergradient (dict): See
            :class:`bissl_mm.engine.steps.settings.HypergradientSettings`.
            Defaults to the published settings.
        direct_weight (float): Weight :math:`\gamma` of the second upper term
            :math:`\mathcal{L}^D(\theta_D, \phi_D)`. Defaults to 1; the first
            version of the paper has 0.01.
        indirect_weight (float): Weight of the first upper term
            :math:`\mathcal{L}^D(\theta_P, \phi_D)`, to the gradients of head
            and backbone. At 0 it is not evaluated and nothing is solved;
            with ``num_lower_steps=0`` what is left is supervised training.
            Defaults to 1.
        num_micro_batches (dict, optional): In how many parts a rank's batch
            passes the network, by ``'lower'``, ``'upper'`` and ``'hessian'``,
            for batches that do not fit the memory. Gradients are those of
            the whole batch if the loss is a mean over samples and no layer
            looks at other samples (MAE, a classifier without batch norm);
            batch norm and contrastive losses see the part alone. With
            ``'hessian'`` above 1 every product builds its graphs anew.
            Defaults to None: one part each.
        first_order_dtype (str, optional): ``'bfloat16'`` evaluates the
            losses of all gradients under autocast; parameters and
            Hessian-vector products stay in float32. Defaults to None.

    Raises:
        ValueError: If a setting is out of its range.
        TypeError: If a level's wrapper scales its loss, accumulates on its
            own or shards its optimizer.

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
        self.regularizer = build_regularizer(regularizer)
        self.system = ImplicitSystem(
            self.regularizer, HypergradientSettings.read(hypergradient)
        )
        super().__init__(lower=lower, upper=upper)
        for name, wrapper in (
            ('lower', lower),
            ('upper', upper),
            ('head_warmup', head_warmup),
        ):
            check_plain(name, wrapper)
        self.head_warmup = head_warmup
        # Levels may share a wrapper, which has its clipping taken once.
        self._clipping = {
            key: take_clipping(wrapper)
            for key, wrapper in {id(w): w for w in (lower, upper, head_warmup)}.items()
        }
        check_non_negative('BiSSLOptimWrapper', 'direct_weight', direct_weight)
        check_non_negative('BiSSLOptimWrapper', 'indirect_weight', indirect_weight)
        if direct_weight + indirect_weight == 0:
            raise ValueRefusal(
                'BiSSLOptimWrapper: direct_weight and indirect_weight are 0, '
                'so that the upper level has no loss. Set one above 0.'
            )
        self.direct_weight = direct_weight
        self.indirect_weight = indirect_weight
        self.first_order = FirstOrder(num_micro_batches, first_order_dtype)
        self._check_gradient = FirstGradient()

    def begin_alternation(self, index: int, total: int) -> None:
        """Before the steps of an alternation, or before those that are left
        of it: weights that change are set here."""
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
            dict[str, float]: ``pretext_loss`` :math:`\mathcal{L}^P` and
            ``proximal_loss`` :math:`\lambda r` at the parameters before the
            step, ``grad_norm`` before clipping, ``distance``
            :math:`\|\theta_P - \theta_D\|`, ``pull``, the length of
            :math:`\lambda(\theta_P - \theta_D)` over that of the pretext
            gradient at the backbone, and ``clipped``, 1 where ``max_norm``
            cut the gradient, else 0. Means over ranks.

        Raises:
            FloatingPointError: If the loss or the gradient is not finite;
                the parameters are then unchanged.
        """
        logs, grads = self.lower_gradient(model, batch, seed)
        return self._apply('lower', model.pretext, grads, logs)

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
            tuple: What is logged, as tensors; the gradient by the pretext
            model's names.
        """
        pretext, levels = model.pretext, model.levels
        with seeded(seed, device_of(pretext)):
            loss, grads = self.first_order.loss_gradient(
                pretext, self.first_order.prepare(pretext, 'lower', batch)
            )
        average_([loss, *grads.values(), *running_statistics(pretext)])
        self._check_gradient(grads, self.first_order, batch)
        backbone = [grads[name] for name in levels.lower_names]
        slope = norm(backbone)
        pull = self.regularizer.add_gradient_(backbone, levels.theta_p, levels.theta_d)
        return dict(
            pretext_loss=loss,
            proximal_loss=pull.value,
            distance=pull.distance,
            pull=pull.length / slope,
        ), grads

    def begin_upper_phase(
        self,
        model: BiSSLModel,
        batches: Sequence[dict],
        seed: int,
        done_steps: int = 0,
        checked_step: int = 0,
    ) -> None:
        r"""Build the operator of one upper phase.

        Args:
            model (BiSSLModel): In training mode, not changed;
                :math:`\theta_P` and :math:`\phi_P` must stay as they are
                until :meth:`end_upper_phase`.
            batches (Sequence[dict]): Pretext batches of this rank for the
                Hessian, one in the published algorithm.
            seed (int): Seed of the random draws of the pretext loss on this
                rank, the same for all products.
            done_steps (int): Steps of this phase that an interrupted run
                took already. Defaults to 0.
            checked_step (int): The ``'random'`` one. Defaults to 0.
        """
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
            dict[str, float]: ``loss_at_lower``
            :math:`\mathcal{L}^D(\theta_P, \phi_D)` and ``loss_at_upper``
            :math:`\mathcal{L}^D(\theta_D, \phi_D)` before the step,
            ``grad_norm`` before clipping, and of the solve ``iters``,
            ``recursion_residual``, ``min_curvature``, ``v_norm``, ``cosine``
            between :math:`v` and :math:`v_{IJ}`, ``estimated`` (1 or 0,
            ``Status.ESTIMATED``) and, where checked, the true ``residual``.

        Raises:
            RuntimeError: Without :meth:`begin_upper_phase`.
            FloatingPointError: If a loss, the solution or the gradient is
                not finite; the parameters are then unchanged. The message
                says what the batch was.
        """
        found = self.upper_gradient(model, batch, seed)
        logs = self._apply('upper', model.downstream, found.gradients, found.logs)
        if found.solution is not None:
            logs.update(solution_logs(found.solution))
        return logs

    def upper_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> Hypergradient:
        r"""The hypergradient, Eq. (7): :math:`v_{IJ}` plus the direct term,
        and the head's gradient; means over ranks, before clipping.

        Args:
            model (BiSSLModel): The downstream model's buffers change.
            batch (dict): See :meth:`upper_step`.
            seed (int): See :meth:`upper_step`.
        """
        if self.system.bound is None:
            raise RuntimeError('upper_step needs begin_upper_phase first.')
        if not self.indirect_weight:
            return self._direct_gradient(model, batch, seed)
        downstream = model.downstream
        loss_at_lower, loss_at_upper, v, grads = self.first_order.upper_gradient(
            model, batch, seed, self.direct_weight, self.indirect_weight
        )
        average_(
            [
                loss_at_lower,
                loss_at_upper,
                *v,
                *grads.values(),
                *running_statistics(downstream),
            ]
        )
        check_finite(
            'upper level',
            loss_at_lower=loss_at_lower.item(),
            loss_at_upper=loss_at_upper.item(),
        )
        solution = self.system.solve(v)
        torch._foreach_add_(
            [grads[n] for n in model.levels.upper_names], list(solution.value)
        )
        return Hypergradient(
            dict(
                loss_at_lower=loss_at_lower,
                loss_at_upper=loss_at_upper,
                v_norm=norm(v),
                cosine=cosine(v, solution.value),
            ),
            grads,
            v,
            solution,
        )

    def _direct_gradient(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> Hypergradient:
        """Without the first term of the upper level."""
        downstream = model.downstream
        with seeded(seed, device_of(downstream)):
            parts = self.first_order.prepare(downstream, 'upper', batch)
        loss, grads = self.first_order.loss_gradient(
            downstream, parts, seed, self.direct_weight
        )
        average_([loss, *grads.values(), *running_statistics(downstream)])
        return Hypergradient(dict(loss_at_upper=loss), grads, None, None)

    @names_its_batch('upper')
    def head_warmup_step(
        self, model: BiSSLModel, batch: dict, seed: int
    ) -> dict[str, float]:
        r"""One step of the downstream head :math:`\phi_D` alone.

        Args:
            model (BiSSLModel): Changed: :math:`\phi_D` and buffers. Its
                backbone must be frozen, see
                :func:`bissl_mm.engine.loop.head_warmup.frozen_backbone`.
            batch (dict): A downstream batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``loss`` and ``grad_norm``, means over ranks.

        Raises:
            FloatingPointError: As in :meth:`lower_step`.
        """
        downstream = model.downstream
        with seeded(seed, device_of(downstream)):
            loss, grads = self.first_order.loss_gradient(
                downstream, self.first_order.prepare(downstream, 'upper', batch)
            )
        average_([loss, *grads.values(), *running_statistics(downstream)])
        return self._apply('head_warmup', downstream, grads, dict(loss=loss))

    def settings(self) -> dict[str, object]:
        """What a resumed run should not change without notice."""
        return dict(
            **self.system.settings(),
            direct_weight=self.direct_weight,
            indirect_weight=self.indirect_weight,
            first_order_dtype=self.first_order.dtype,
        )

    def state_dict(self) -> dict:
        """State of all three optimizers and, within an upper phase, of the
        solver."""
        state = super().state_dict()
        state['head_warmup'] = self.head_warmup.state_dict()
        kept = self.system.state_dict()
        if kept:
            state['solver'] = kept
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave."""
        state_dict = dict(state_dict)
        self.system.load_state_dict(state_dict.pop('solver', {}))
        self.head_warmup.load_state_dict(state_dict.pop('head_warmup'))
        super().load_state_dict(state_dict)

    def _apply(
        self, level: str, model: nn.Module, grads: Gradients, logs: dict[str, Tensor]
    ) -> dict[str, float]:
        """Hand over the gradient, clip, check, step; the logs come in one
        transfer."""
        wrapper = self.head_warmup if level == 'head_warmup' else self[level]
        for name, param in model.named_parameters():
            param.grad = grads.get(name)
        params = [
            p
            for group in wrapper.optimizer.param_groups
            for p in group['params']
            if p.grad is not None
        ]
        clip = self._clipping[id(wrapper)]
        logs = dict(logs, grad_norm=clip(params))
        values = torch.stack([v.double() for v in logs.values()]).tolist()
        logs = dict(zip(logs, values, strict=True))
        check_finite(_WHERE[level], **{k: v for k, v in logs.items() if k != 'pull'})
        limit = getattr(clip, 'keywords', {}).get('max_norm')
        if limit is not None:
            logs['clipped'] = float(logs['grad_norm'] > limit)
        wrapper.step()
        wrapper.zero_grad()
        return logs
