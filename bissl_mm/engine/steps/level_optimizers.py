"""The optimizers of the levels: how a gradient becomes a step."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from mmengine.dist import get_world_size
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.utils import clip_grad_norm_

from ...hypergradient.linalg.vectors import Vectors, norm, scalars_agreed
from ...hypergradient.regularizers.base import Pull, Regularizer
from ...models.bissl_model import BiSSLModel
from ...models.levels import Levels
from ...utils.errors import RuntimeRefusal, TypeRefusal
from ...utils.random import seeded
from ..checks.batch_report import names_its_batch
from ..distributed import from_first_rank
from .gradients import FirstOrder, Gradients
from .parts import check_finite, device_of, running_statistics
from .reached import average_reached_, drop_zeros_, fill_

#: Key of an optimizer -> its name in messages.
_WHERE = dict(lower='lower level', upper='upper level', head_warmup='head warm-up')
#: Logs that may be infinite: what they divide by may be 0.
_RATIOS = ('pull', 'stationarity')


class LevelOptimizers(OptimWrapperDict):
    """The optimizers of both levels and of the head warm-up.

    This is the only place that writes to ``.grad`` and steps an optimizer.

    Args:
        lower (OptimWrapper): Entry ``'lower'`` of the dict.
        upper (OptimWrapper): Entry ``'upper'``.
        head_warmup (OptimWrapper): Beside the dict.
        first_order (FirstOrder): Evaluates the losses.
        regularizer (Regularizer): The upper optimizer trains its parameters, if
            it has any.

    Raises:
        TypeError: If one scales its loss, accumulates on its own or shards
            its optimizer.
    """

    def __init__(
        self,
        lower: OptimWrapper,
        upper: OptimWrapper,
        head_warmup: OptimWrapper,
        first_order: FirstOrder,
        regularizer: Regularizer,
    ) -> None:
        super().__init__(lower=lower, upper=upper)
        for name, wrapper in (
            ('lower', lower),
            ('upper', upper),
            ('head_warmup', head_warmup),
        ):
            check_plain(name, wrapper)
        self.head_warmup = head_warmup
        #: By level, what is called right before a step, with what clipping multiplied
        #: the gradient with; None if that is no number. (Optimizers have such hooks,
        #: but torch 2.1 drops them once anything was compiled.)
        self.before_step: dict[str, Callable[[float | None], None]] = {}
        self.first_order = first_order
        self.regularizer = regularizer
        trained = [p for _, p in regularizer.named_parameters()]
        if trained:
            group = dict(params=trained, **regularizer.param_group())
            upper.optimizer.add_param_group(group)
        #: By level, as the config has it.
        self.clip_grad = {
            level: wrapper.clip_grad_kwargs and dict(wrapper.clip_grad_kwargs)
            for level, wrapper in dict(
                lower=lower, upper=upper, head_warmup=head_warmup
            ).items()
        }
        # Levels may share a wrapper, whose clipping is taken once.
        self._clipping = {
            key: take_clipping(wrapper)
            for key, wrapper in {id(w): w for w in (lower, upper, head_warmup)}.items()
        }

    def step_level(
        self, level: str, model: nn.Module, grads: Gradients, logs: dict[str, Tensor]
    ) -> dict[str, float]:
        """Set the gradient, clip it, check it and step.

        Args:
            level (str): ``'lower'``, ``'upper'`` or ``'head_warmup'``.
            model (nn.Module): Its parameters change.
            grads (dict[str, Tensor]): By the names of the model and of the
                regularizer; a parameter without one gets none.
            logs (dict[str, Tensor]): Tensors of one number.

        Returns:
            dict[str, float]: The logs as numbers, read in one transfer, with
            ``grad_norm`` before clipping and, where ``max_norm`` is set,
            ``clipped``.

        Raises:
            FloatingPointError: If a log or the norm is not finite; the
                parameters are then unchanged.
        """
        wrapper = self.head_warmup if level == 'head_warmup' else self[level]
        trained = self.regularizer.named_parameters()
        for name, param in itertools.chain(model.named_parameters(), trained):
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
        numbers = dict(zip(logs, values, strict=True))
        check_finite(
            _WHERE[level], **{k: v for k, v in numbers.items() if k not in _RATIOS}
        )
        clipping = self.clip_grad[level] or {}
        if 'max_norm' in clipping:
            numbers['clipped'] = float(numbers['grad_norm'] > clipping['max_norm'])
        if level in self.before_step:
            self.before_step[level](clip_factor(clipping, numbers['grad_norm']))
        wrapper.step()
        wrapper.zero_grad()
        if level == 'upper':
            self.regularizer.stepped()
        return numbers

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
        unreached = fill_(grads, dict(downstream.named_parameters()))
        others = [loss, *running_statistics(downstream)]
        drop_zeros_(grads, average_reached_(grads, unreached, others))
        return self.step_level('head_warmup', downstream, grads, dict(loss=loss))

    def add_pull_(self, grads: Sequence[Tensor], levels: Levels) -> Pull:
        """Add the gradient of the regularizer to that of the pretext loss.

        Args:
            grads (Sequence[Tensor]): By tensors of the lower backbone, the mean over
                ranks. Changed.
            levels (Levels): Of the model.
        """
        with scalars_agreed(from_first_rank):
            return self.regularizer.add_gradient_(grads, levels.theta_p, levels.theta_d)

    def state_dict(self) -> dict:
        """State of all three optimizers and of the regularizer."""
        state = super().state_dict()
        state['head_warmup'] = self.head_warmup.state_dict()
        trained = self.regularizer.state_dict()
        return state | (dict(regularizer=trained) if trained else {})

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave.

        Raises:
            RuntimeError: If another type of regularizer wrote the state.
        """
        state_dict = dict(state_dict)
        saved = state_dict.pop('regularizer', {})
        if set(saved) != set(self.regularizer.state_dict()):
            raise RuntimeRefusal(
                f'optim_wrapper.regularizer: {type(self.regularizer).__name__} cannot '
                'go on from a checkpoint that another type of regularizer wrote. '
                'Restore the type, or start a new run from the weights with '
                'load_from instead of --resume.'
            )
        self.head_warmup.load_state_dict(state_dict.pop('head_warmup'))
        with scalars_agreed(from_first_rank):
            self.regularizer.load_state_dict(saved)
        super().load_state_dict(state_dict)


def clip_factor(clipping: Mapping[str, float], length: float) -> float | None:
    """What a clipping multiplies a gradient with.

    Args:
        clipping (dict): ``clip_grad`` of a level; empty for none.
        length (float): The gradient's norm.

    Returns:
        float: None for clipping that is not by the norm.
    """
    if not clipping:
        return 1.0
    # As torch does.
    known = 'max_norm' in clipping
    return min(1.0, clipping['max_norm'] / (length + 1e-6)) if known else None


def take_clipping(wrapper: OptimWrapper) -> Callable:
    """Take over a wrapper's clipping, to see the norm before the step.

    Returns:
        Callable: Clips the gradients of a list of parameters and returns
        their norm before.
    """
    kwargs, wrapper.clip_grad_kwargs = wrapper.clip_grad_kwargs, None
    if kwargs and wrapper.grad_name == 'grad_norm':
        return partial(_clip_norm, **kwargs)

    def clip(params: Sequence[Tensor]) -> Tensor:
        total = from_first_rank(norm(_grads(params)))
        if kwargs:
            wrapper.clip_func(params, **kwargs)
        return total

    return clip


def _grads(params: Sequence[Tensor]) -> Vectors:
    return tuple(p.grad for p in params if p.grad is not None)


def _clip_norm(
    params: Sequence[Tensor], max_norm: float, norm_type: float = 2.0, **kwargs
) -> Tensor:
    """torch's ``clip_grad_norm_``, on several ranks with the norm that rank
    0 has.

    The last bits of a norm depend on the number of threads, and the step
    would with them.
    """
    if get_world_size() == 1:
        return clip_grad_norm_(params, max_norm, norm_type, **kwargs)
    grads = _grads(params)
    total = from_first_rank(
        torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g, norm_type) for g in grads]),
            norm_type,
        )
    )
    scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(list(grads), scale)
    return total


def check_plain(name: str, wrapper: OptimWrapper) -> None:
    """Refuse optimizers that step on their own terms."""
    if not isinstance(wrapper, OptimWrapper):
        raise TypeRefusal(
            f'BiSSLOptimWrapper: {name} must be an OptimWrapper, '
            f'but is {wrapper!r}. Use constructor='
            "'bissl_mm.BiSSLOptimWrapperConstructor'."
        )
    if isinstance(wrapper, AmpOptimWrapper):
        raise TypeRefusal(
            f'BiSSLOptimWrapper: {name} is an AmpOptimWrapper, whose loss '
            'scale does not fit the hand-set gradients. Use type='
            "'OptimWrapper' and first_order_dtype='bfloat16'."
        )
    if isinstance(wrapper.optimizer, ZeroRedundancyOptimizer):
        raise TypeRefusal(
            f'BiSSLOptimWrapper: the optimizer of {name} is a '
            'ZeroRedundancyOptimizer; sharded training is not supported. Use '
            'the optimizer itself.'
        )
    if wrapper._accumulative_counts != 1:
        raise TypeRefusal(
            f'BiSSLOptimWrapper: {name} has accumulative_counts='
            f'{wrapper._accumulative_counts}, which would draw that many '
            'batches per step. Leave it at 1; batches that do not fit the '
            'memory are cut by num_micro_batches=dict(lower=..., '
            'upper=..., hessian=...).'
        )
