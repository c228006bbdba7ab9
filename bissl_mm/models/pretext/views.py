"""Passes the views of a batch through a network."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...utils.errors import ValueRefusal
from .norm import DifferentiableSyncBatchNorm


def check_two_views(name: str, views: Sequence[Tensor]) -> None:
    """Refuse a batch of another number of views, in the name of a pretext model."""
    if len(views) != 2:
        raise ValueRefusal(
            f'{name}: expected 2 views, got {len(views)}. Set num_views of the '
            'MultiView transform so that they sum to 2.'
        )


def pass_views(
    networks: Sequence[nn.Module],
    function: Callable[[Tensor], Tensor],
    views: Sequence[Tensor],
) -> list[Tensor]:
    """The output of each view, with batch statistics of its own.

    On several processes the views pass as one batch, if every batch norm with
    batch statistics is a synchronised ``DifferentiableSyncBN``. The statistics of
    all views then share their collectives. The number of groups stays set in the
    norms, because activation checkpointing calls them again later.

    Args:
        networks (Sequence[nn.Module]): What ``function`` calls.
        function (Callable): Maps images ``(B, C, H, W)`` to rows ``(B, D)``.
        views (Sequence[Tensor]): Images of each view.
    """
    norms: list[Any] = [
        module
        for network in networks
        for module in network.modules()
        if isinstance(module, _BatchNorm)
        and (module.training or module.running_mean is None)
    ]
    are_synchronised = all(
        isinstance(norm, DifferentiableSyncBatchNorm) and norm.synchronised
        for norm in norms
    )
    is_one_batch = (
        get_world_size() > 1
        and bool(norms)
        and are_synchronised
        and len({view.shape for view in views}) == 1
    )
    for norm in norms:
        norm.num_groups = len(views) if is_one_batch else 1
    if is_one_batch:
        return list(function(torch.cat(list(views))).chunk(len(views)))
    return [function(view) for view in views]
