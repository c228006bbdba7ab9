"""Batch normalisation over processes that can be differentiated twice."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce as differentiable_all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from ...registry import MODELS
from ...utils.check import check_keys
from ...utils.errors import ValueRefusal


@MODELS.register_module('DifferentiableSyncBN')
@check_keys
class DifferentiableSyncBatchNorm(_BatchNorm):
    """Batch normalisation with the statistics of all processes' batches.

    torch's ``SyncBatchNorm`` has no second derivative, but the Hessian of the
    pretext loss needs one. This layer consists of differentiable all-reduces.
    Its derivatives of any order equal those of one process on the union of the
    batches. In one process it is ordinary batch normalisation. Use it with
    ``norm_cfg=dict(type='DifferentiableSyncBN')``. Weights and their names are
    those of ``BN``.

    Inputs have shape ``(N, C, ...)`` with N samples per rank; N may differ
    between ranks. Every pass takes two small collectives forward and two
    backward.

    Attributes:
        synchronised (bool): If it is False, each process uses the statistics of
            its own batch; see :func:`set_sync_norms`.
    """

    synchronised = True

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueRefusal(
                'DifferentiableSyncBN: expected an input of '
                f'shape (N, C, ...), got {tuple(input.shape)}.'
            )

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, and update the running statistics like ``BN``."""
        world = get_world_size() if self.synchronised else 1
        batch_statistics = self.training or (
            self.running_mean is None and self.running_var is None
        )
        if world == 1 or not batch_statistics:
            return super().forward(input)
        self._check_input_dim(input)
        dims = [0, *range(2, input.dim())]
        count = input.new_tensor([input.numel() / input.shape[1]])
        all_reduce(count)
        mean = differentiable_all_reduce(input.sum(dims)) / count
        shape = [1, -1] + [1] * (input.dim() - 2)
        centred = input - mean.view(shape)
        var = differentiable_all_reduce(centred.square().sum(dims)) / count
        if self.training and self.track_running_stats:
            self._update_statistics(mean.detach(), var.detach(), count)
        scale = torch.rsqrt(var + self.eps)
        if self.affine:
            scale = scale * self.weight
        out = centred * scale.view(shape)
        return out + self.bias.view(shape) if self.affine else out

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        factor = (
            self.momentum
            if self.momentum is not None
            else 1.0 / float(self.num_batches_tracked)
        )
        unbiased = var * count / (count - 1)
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(unbiased, factor)

    def extra_repr(self) -> str:
        """The settings, with ``synchronised``."""
        return f'{super().extra_repr()}, synchronised={self.synchronised}'


def set_sync_norms(model: nn.Module, synchronised: bool) -> nn.Module:
    """Give all batch norms of a model statistics over all processes, or none.

    Parameters and buffers stay the same tensors under the same names.

    Args:
        model (nn.Module): Changed in place. If it is a norm itself, it may be
            replaced.
        synchronised (bool): True gives statistics of all processes' batches, by
            :class:`DifferentiableSyncBatchNorm`. False gives each process its
            own statistics.

    Returns:
        nn.Module: The model, or the norm in its place.
    """
    return _replaced(model, synchronised, {})


def _replaced(
    module: nn.Module, synchronised: bool, known: dict[nn.Module, nn.Module]
) -> nn.Module:
    """The module, or its replacement. Shared modules stay shared."""
    if module in known:
        return known[module]
    known[module] = module
    if isinstance(module, DifferentiableSyncBatchNorm):
        module.synchronised = synchronised
    elif isinstance(module, nn.SyncBatchNorm) or (
        synchronised and isinstance(module, _BatchNorm)
    ):
        known[module] = _copied(module, synchronised)
    else:
        for name, child in list(module._modules.items()):
            if child is not None:
                module._modules[name] = _replaced(child, synchronised, known)
    return known[module]


def _copied(norm: _BatchNorm, synchronised: bool) -> DifferentiableSyncBatchNorm:
    new = DifferentiableSyncBatchNorm(
        norm.num_features,
        norm.eps,
        norm.momentum,
        norm.affine,
        norm.track_running_stats,
    )
    new.synchronised = synchronised
    for name, tensor in {**norm._parameters, **norm._buffers}.items():
        setattr(new, name, tensor)
    return new.train(norm.training)
