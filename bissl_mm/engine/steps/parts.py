"""Pieces of a gradient step that both levels share."""

import math

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...hypergradient import Solution, Status
from ..checks.batch_report import NotFinite


def total_loss(model: BaseModel, data: dict) -> Tensor:
    """The summed loss of an OpenMMLab model on a preprocessed batch."""
    losses = model(**data, mode='loss')
    return model.parse_losses(losses)[0]


def running_statistics(model: nn.Module) -> list[Tensor]:
    """The running statistics of batch norms. They are averaged over ranks, so
    that every rank has the same state."""
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
    """What is logged of a solve.

    ``iters``, ``recursion_residual``, ``min_curvature``, ``estimated`` (1 for
    ``Status.ESTIMATED``, else 0) and, where it was checked, the true
    ``residual``.
    """
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
    """Raise a ``FloatingPointError`` that names the first value that is not
    finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFinite(f'{where}: {name} is {value}.')
