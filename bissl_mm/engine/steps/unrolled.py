"""The last lower steps, kept for their own derivative."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseAveragedModel, BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor

from ...hypergradient import WithHead
from ...hypergradient.linalg.vectors import Vectors, norm
from ...hypergradient.regularizers.base import Regularizer
from ...hypergradient.unrolled import SGDStep, UnrolledSolves, UnrolledSteps
from ...models.bissl_model import BiSSLModel
from ...models.losses.functional import fixed_parts, pure_forward, substituted
from ...models.losses.moved_once import MovedOnce
from ...registry import build_regularizer
from ...utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ..checks.out_of_memory import in_memory_phase
from ..distributed import from_first_rank
from .curvatures import curvature_maker
from .gradients import FirstOrder, Gradients
from .hypergradient import ImplicitSystem
from .parts import device_of, total_loss
from .settings import WHERE, HypergradientSettings

#: Settings of one step of SGD, by the names of :class:`SGDStep`.
_RULE = ('lr', 'momentum', 'dampening', 'weight_decay', 'nesterov')


class UnrolledSystem(ImplicitSystem):
    r"""The derivative of the last lower steps in the place of a linear system.

    :math:`v_{IJ} = (d\theta_P / d\theta_D)^T v` with :math:`\theta_P` the result
    of the last K steps of SGD, whose beginning counts as constant. Momentum,
    weight decay and the pretext head are followed. The factor of a clipped
    gradient, target networks and queues count as constants. The steps of earlier
    alternations, with an older :math:`\theta_D`, have no part in it.

    Memory: K copies of the pretext model, and the graphs of K batches. A
    checkpoint holds the copies.

    Args:
        regularizer (Regularizer): See :class:`ImplicitSystem`.
        settings (HypergradientSettings): With ``unrolled_steps`` K.
        lower (OptimWrapper): Of the lower level.

    Raises:
        ValueError: For a regularizer that learns, or whose second derivative
            changes.
        TypeError: For an optimizer other than SGD, or for clipping that is not
            by the norm.
    """

    def __init__(
        self,
        regularizer: Regularizer,
        settings: HypergradientSettings,
        lower: OptimWrapper,
    ) -> None:
        super().__init__(regularizer, settings)
        if regularizer.state_dict() or not regularizer.has_constant_metric:
            raise ValueRefusal(
                f'{WHERE}.unrolled_steps={settings.unrolled_steps} needs a regularizer '
                'of a constant second derivative that learns nothing, but it is '
                f"{type(regularizer).__name__}. Set regularizer.type='SquaredDistance'."
            )
        self._limit = _checked_limit(lower)
        self._buffers: dict[str, Tensor] = {}
        self._kept: deque[dict[str, Any]] = deque(maxlen=settings.unrolled_steps)

    @property
    def curvature_operator(self) -> None:
        """Each step has a curvature of its own."""
        return None

    def before_lower_gradient(self, model: BiSSLModel) -> None:
        """Keep what the loss reads and then writes: DINO's center, CAE's teacher.

        Args:
            model (BiSSLModel): Not changed.
        """
        pretext = model.pretext
        # An averaged model moves before the loss: its state is taken afterwards.
        averaged = tuple(
            f'{name}.'
            for name, module in pretext.named_modules()
            if isinstance(module, BaseAveragedModel)
        )
        self._buffers = {
            name: buffer.detach().clone()
            for name, buffer in pretext.named_buffers()
            if not name.startswith(averaged)
        }
        fixed = {id(tensor) for tensor in fixed_parts(pretext)}
        self._buffers |= {
            name: param.detach().clone()
            for name, param in pretext.named_parameters()
            if id(param) in fixed
        }

    def before_lower_step(
        self, model: BiSSLModel, optimizer: torch.optim.Optimizer, grads: Gradients
    ) -> None:
        """Keep a step that is about to be taken.

        Args:
            model (BiSSLModel): Not changed.
            optimizer (Optimizer): That of the lower level.
            grads (dict[str, Tensor]): The mean over ranks, not clipped.
        """
        params = dict(model.pretext.named_parameters())
        groups = {id(p): g for g in optimizer.param_groups for p in g['params']}
        length = from_first_rank(norm(tuple(grads.values()))).item()
        clip = min(1.0, self._limit / (length + 1e-6))
        rule: dict[str, list] = {key: [] for key in (*_RULE, 'begins')}
        for param in _unknowns(model):
            for key in _RULE:
                rule[key].append(groups[id(param)][key])
            buffer = optimizer.state.get(param, {}).get('momentum_buffer')
            rule['begins'].append(buffer is None)
        state = {**params, **dict(model.pretext.named_buffers()), **self._buffers}
        self._kept.append(
            dict(
                state={k: t.detach().clone() for k, t in state.items()},
                weight=self.regularizer.weight,
                clip=clip,
                **rule,
            )
        )

    @in_memory_phase('begin')
    def begin(
        self,
        model: BiSSLModel,
        batches: Sequence[dict],
        seed: int | Sequence[int],
        first_order: FirstOrder,
        done_steps: int = 0,
        checked_step: int = 0,
    ) -> None:
        """See :class:`ImplicitSystem`; batches and seeds are those of the steps.

        Raises:
            RuntimeError: If fewer steps were taken.
        """
        if len(self._kept) != len(batches):
            raise RuntimeRefusal(
                f'{WHERE}.unrolled_steps={len(batches)}, but this upper phase follows '
                f'{len(self._kept)} lower steps. Start from an older checkpoint, or '
                'set unrolled_steps=0.'
            )
        seeds = [seed] * len(batches) if isinstance(seed, int) else seed
        levels = model.levels
        self.domain = WithHead([True] * len(levels.theta_p), levels.phi_p)
        steps = [
            self._step_of(model, dict(kept), batch, seed, first_order)
            for kept, batch, seed in zip(self._kept, batches, seeds, strict=True)
        ]
        lower, upper = levels.theta_p, levels.theta_d
        metric = self.regularizer.metric(lower, upper)
        cross = partial(self.regularizer.cross, lower=lower, upper=upper)
        self.bound = UnrolledSolves(UnrolledSteps(steps, metric, cross, len(lower)))
        self._cross, self._weight = None, self.regularizer.weight

    def _step_of(
        self,
        model: BiSSLModel,
        kept: dict,
        batch: Any,
        seed: int,
        first_order: FirstOrder,
    ) -> SGDStep:
        pretext = model.pretext
        device = device_of(pretext)
        state = {k: t.to(device) for k, t in kept.pop('state').items()}
        names = {id(p): name for name, p in pretext.named_parameters()}
        leaves = tuple(
            state[names[id(p)]].detach().requires_grad_() for p in _unknowns(model)
        )
        state.update(zip((names[id(p)] for p in _unknowns(model)), leaves, strict=True))
        closure = partial(_loss, pretext, state, batch, seed, first_order)
        make_curvature = curvature_maker(self.config, num_parts=1)
        curvature = make_curvature([closure], leaves, lazy=True)
        return SGDStep(curvature, **kept)

    def end(self) -> None:
        """Free the graphs, and forget the steps."""
        if self.bound is not None:
            self._kept.clear()
        super().end()

    def state_dict(self) -> dict:
        """The steps that are kept; empty without one."""
        return dict(steps=list(self._kept)) if self._kept else {}

    def load_state_dict(self, state: dict) -> None:
        """Use what :meth:`state_dict` gave."""
        self._kept.clear()
        self._kept.extend(state.get('steps', []))


def build_system(
    regularizer: dict | Regularizer,
    settings: HypergradientSettings,
    lower: OptimWrapper,
) -> ImplicitSystem:
    """The system that the settings name; see :class:`ImplicitSystem`.

    Args:
        regularizer (dict or Regularizer): Of the lower level.
        settings (HypergradientSettings): Of the system.
        lower (OptimWrapper): Of the lower level.
    """
    regularizer = build_regularizer(regularizer)
    if settings.unrolled_steps:
        return UnrolledSystem(regularizer, settings, lower)
    return ImplicitSystem(regularizer, settings)


def _unknowns(model: BiSSLModel) -> Vectors:
    """Backbone and head of the lower level."""
    return (*model.levels.theta_p, *model.levels.phi_p)


def _loss(
    pretext: BaseModel,
    state: dict[str, Tensor],
    batch: Any,
    seed: int,
    first_order: FirstOrder,
) -> Tensor:
    """The pretext loss of a lower step, with the draws that it had."""
    with substituted(pretext, state), pure_forward(pretext, seed):
        parts = first_order.prepare(pretext, 'lower', batch)
        averages, losses = MovedOnce(pretext, len(parts)), []
        for data in parts:
            with averages.part():
                losses.append(total_loss(pretext, data))
    return torch.stack(losses).mean()


def _checked_limit(lower: OptimWrapper) -> float:
    """The largest norm of a gradient of the lower level."""
    optimizer = lower.optimizer
    if type(optimizer) is not torch.optim.SGD:
        raise TypeRefusal(
            f'{WHERE}.unrolled_steps follows torch.optim.SGD at the lower level, but '
            f'its optimizer is {type(optimizer).__name__}. Set '
            "optim_wrapper.lower.optimizer.type='SGD', or unrolled_steps=0."
        )
    if any(group.get('maximize') for group in optimizer.param_groups):
        raise ValueRefusal(
            'optim_wrapper.lower.optimizer: maximize=True goes up the loss, and '
            f'{WHERE}.unrolled_steps does not follow it. Set maximize=False.'
        )
    kwargs = dict(lower.clip_grad_kwargs or {})
    kind = kwargs.pop('norm_type', 2.0)
    limit = kwargs.pop('max_norm', None)
    if not lower.clip_grad_kwargs:
        return float('inf')
    if limit is None or kind != 2 or lower.grad_name != 'grad_norm':
        raise TypeRefusal(
            f'optim_wrapper.lower.clip_grad={lower.clip_grad_kwargs!r} is not by the '
            f'Euclidean norm, which is all that {WHERE}.unrolled_steps follows. Set '
            'clip_grad=dict(max_norm=10).'
        )
    return float(limit)
