"""Pieces of a gradient step that both levels share."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmengine.dist import get_world_size
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_

from ...hypergradient import Solution, Status
from ...hypergradient.linalg.vectors import norm
from ...utils.errors import TypeRefusal
from ..checks.batch_report import NotFinite
from ..distributed import from_first_rank


def total_loss(model: nn.Module, data: dict) -> Tensor:
    """The summed loss of an OpenMMLab model on a preprocessed batch."""
    losses = model(**data, mode='loss')
    return model.parse_losses(losses)[0]


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Of batch norms; averaged, so that every rank has the same state."""
    return [
        statistic
        for module in model.modules()
        if isinstance(module, _BatchNorm)
        for statistic in (module.running_mean, module.running_var)
        if statistic is not None
    ]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters lie."""
    return next(model.parameters()).device


def solution_logs(solution: Solution) -> dict[str, float]:
    """What the monitor shows of a solve."""
    logs = dict(
        iters=float(solution.num_iters),
        recursion_residual=solution.residual_norm,
        min_curvature=solution.min_curvature,
        estimated=float(solution.status is Status.ESTIMATED),
    )
    if solution.true_residual_norm is not None:
        logs['residual'] = solution.true_residual_norm
    return logs


def check_finite(where: str, **values: float) -> None:
    """Raise a ``FloatingPointError`` naming the first value that is not."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFinite(f'{where}: {name} is {value}.')


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
        total = from_first_rank(norm([p.grad for p in params]))
        if kwargs:
            wrapper.clip_func(params, **kwargs)
        return total

    return clip


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
    grads = [p.grad for p in params]
    total = from_first_rank(
        torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g, norm_type) for g in grads]),
            norm_type,
        )
    )
    scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, scale)
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
            'batches a step. Leave it at 1; batches that do not fit the '
            'memory are cut by num_micro_batches=dict(lower=..., '
            'upper=..., hessian=...).'
        )
