r"""How far the lower level relaxes toward the upper one in a stage.

Without the pretext gradient, a lower step with learning rate a moves
:math:`\theta_P` by :math:`a \lambda (\theta_D - \theta_P)`. With momentum m it
moves :math:`1/(1-m)` times as far in the long run. The sum of these factors over
a stage is R, a number of relaxation times. At R below 1 :math:`\theta_P` hardly
follows :math:`\theta_D`, and the stage is little more than further pretraining.
"""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import PARAM_SCHEDULERS
from torch import Tensor
from torch.optim import SGD, Optimizer

#: Range of R to aim at. The best four of the twelve settings that were chosen from in
#: benchmarks/evidence lie in it. In the grid there, settings below it had no gain, and
#: those above, up to 45, had as much.
AIM = (2.0, 10.0)


def learning_rates(cfg: Mapping[str, Any], lr: float, steps: int) -> list[float]:
    """Learning rates of all lower steps of a config.

    Args:
        cfg (Config): Its ``param_scheduler.lower`` is read.
        lr (float): Learning rate of the lower optimizer.
        steps (int): Lower steps of the stage.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
    built = [
        PARAM_SCHEDULERS.build(
            dict(dict(end=steps), **copy.deepcopy(dict(one)), optimizer=optimizer)
        )
        for one in lower_schedules(cfg)
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        # Schedules expect this call. Without a gradient it changes nothing.
        optimizer.step()
        for schedule in built:
            schedule.step()
    return rates


def lower_schedules(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The configs in ``param_scheduler.lower`` of a config, themselves."""
    schedules = (cfg.get('param_scheduler') or {}).get('lower') or []
    return [schedules] if isinstance(schedules, dict) else list(schedules)


def pull_of(weights: Sequence[float], rates: Sequence[float]) -> float:
    r""":math:`\sum \lambda a` over all lower steps.

    Args:
        weights (Sequence[float]): :math:`\lambda` of every alternation.
        rates (Sequence[float]): Learning rate of every lower step, as many per
            alternation.
    """
    steps = len(rates) // len(weights)
    return sum(
        weight * sum(rates[i * steps : (i + 1) * steps])
        for i, weight in enumerate(weights)
    )


def gains(optimizer: Optimizer, params: Sequence[Tensor]) -> list[float] | None:
    """How far each tensor moves per unit of gradient and learning rate.

    The learning rate is that of the config; a parameter group may have a multiple
    of it. Momentum is included in its long run. Call this right before a step, when
    gradients are there. For Adam and related optimizers, call it after a few
    steps.

    Args:
        optimizer (Optimizer): SGD, LARS (the package's or mmpretrain's), or one
            with Adam's moments.
        params (Sequence[Tensor]): Some of its parameters.

    Returns:
        list[float]: One number per tensor. With Adam's moments it is the mean over
        the elements, weighted by their second moments. None if the optimizer or its
        state is not known.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group['params']}
    found = []
    for param in params:
        group = groups.get(id(param))
        gain = None if group is None else _gain(optimizer, param, group)
        if group is None or gain is None:
            return None
        found.append(gain * _multiple(optimizer, group))
    return found


def clipped_gain(
    optimizer: Optimizer,
    params: Sequence[Tensor],
    shares: Sequence[float],
    clipping: Sequence[float | None],
) -> float | None:
    """One gain of all tensors, per unit of a gradient that is not clipped yet.

    :func:`gains` sees clipped gradients. The gradient of the regularizer is clipped
    with that of the pretext loss. LARS and Adam divide both by the same length, so
    clipping changes nothing of theta_P's way.

    Args:
        optimizer (Optimizer): See :func:`gains`.
        params (Sequence[Tensor]): Some of its parameters.
        shares (Sequence[float]): How strongly each tensor is tied.
        clipping (Sequence[float]): What clipping multiplied the gradients with, at all
            steps so far and at the one that comes. The last one counts, and with Adam's
            moments, which are averages, their mean.

    Returns:
        float: None if the gains are not known, or if clipping is not by a factor.
    """
    factors, known = gains(optimizer, params), [c for c in clipping if c is not None]
    if factors is None or len(known) < len(clipping):
        return None
    has_moments = any('exp_avg_sq' in state for state in optimizer.state.values())
    clip = sum(known) / len(known) if has_moments else known[-1]
    found = [f * share for f, share in zip(factors, shares, strict=True)]
    return gain_of_all(optimizer, found, params) * clip


def _multiple(optimizer: Optimizer, group: dict) -> float:
    rate = optimizer.defaults['lr']
    return group.get('initial_lr', group['lr']) / rate if rate else 1.0


def _gain(optimizer: Optimizer, param: Tensor, group: dict) -> float | None:
    if 'LARS' in type(optimizer).__name__.upper():
        return _trust(param, group) * _in_the_long_run(group)
    if 'betas' in group:
        return _adam(optimizer.state.get(param, {}), group)
    # RMSprop has a momentum, too.
    return _in_the_long_run(group) if isinstance(optimizer, SGD) else None


def _in_the_long_run(group: dict) -> float:
    momentum = group['momentum']
    damped = 1 - group.get('dampening', 0.0) if momentum else 1.0
    return damped / (1 - momentum)


def _trust(param: Tensor, group: dict) -> float:
    # mmpretrain's LARS excludes by group, the package's by dimensions.
    is_excluded = group.get('lars_exclude', False)
    if (
        param.grad is None
        or is_excluded
        or param.dim() < group.get('min_trust_dims', 0)
    ):
        return 1.0
    decay = group['weight_decay'] * (param.dim() >= group.get('min_decay_dims', 0))
    length = torch.linalg.vector_norm(param.detach()).item()
    slope = torch.linalg.vector_norm(param.grad + decay * param.detach()).item()
    return group['eta'] * length / slope if length and slope else 1.0


def _adam(state: dict, group: dict) -> float | None:
    # LAMB, without a step of its own, scales each tensor once more.
    if 'exp_avg_sq' not in state or 'step' not in state:
        return None
    steps = float(state['step'])
    # With amsgrad the largest average so far divides.
    moment = state.get('max_exp_avg_sq', state['exp_avg_sq'])
    scale = moment / (1 - group['betas'][1] ** steps)
    found = 1 / (scale.sqrt() + group['eps'])
    weights = scale if scale.any() else torch.ones_like(scale)
    return ((found * weights).sum() / weights.sum()).item()


def gain_of_all(
    optimizer: Optimizer, values: Sequence[float], params: Sequence[Tensor]
) -> float:
    """One gain of all tensors.

    theta_D goes furthest where downstream gradients are large. Where pretext gradients
    are large, which is taken for the same, Adam is slowest. So with Adam's moments it is
    the mean, weighted by the tensors' sums of second moments. (In three stages of MAE, run
    once by hand, theta_P went 12, 47 and 72% of the way. R is 0.5, 2.7 and 4.5 by this
    mean; by the median over elements it was 3, 17 and 35.) With others it is the median
    over elements.

    Args:
        optimizer (Optimizer): Of the tensors.
        values (Sequence[float]): One number per tensor, see :func:`gains`.
        params (Sequence[Tensor]): The tensors.

    Returns:
        float: In the unit of :func:`gains`: way per gradient and learning rate.
    """
    moments = [optimizer.state.get(p, {}).get('exp_avg_sq') for p in params]
    weights = [0.0 if m is None else m.sum().item() for m in moments]
    if not sum(weights):
        return median_of_elements(values, params)
    pairs = zip(values, weights, strict=True)
    return sum(value * weight for value, weight in pairs) / sum(weights)


def median_of_elements(values: Sequence[float], params: Sequence[Tensor]) -> float:
    """The median of one number per tensor, weighted by the tensors' numbers of
    elements."""
    pairs = sorted((v, p.numel()) for v, p in zip(values, params, strict=True))
    total = sum(number for _, number in pairs)
    seen = itertools.accumulate(number for _, number in pairs)
    return next(
        value
        for (value, _), number in zip(pairs, seen, strict=True)
        if 2 * number >= total
    )
