"""Batch normalisation over processes that can be differentiated twice."""

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...registry import MODELS
from ...utils.check import check_keys
from ...utils.errors import TypeRefusal, ValueRefusal
from ...utils.scales import Scales
from .packed_norm import Statistics, statistics_type, sync_batch_norm

#: Of norms that normalise by a batch's statistics and do nothing else.
_PLAIN_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


@MODELS.register_module('DifferentiableSyncBN')
@check_keys
class DifferentiableSyncBatchNorm(_BatchNorm):
    """Batch normalisation with the statistics of all processes' batches.

    torch's ``SyncBatchNorm`` has no second derivative, but the Hessian of the
    pretext loss needs one. The derivatives of this layer equal those of one
    process on the union of the batches. In one process it is ordinary batch
    normalisation. Use it with ``norm_cfg=dict(type='DifferentiableSyncBN')``.
    Weights and their names are those of ``BN``.

    Inputs have shape ``(N, C, ...)`` with N samples per rank; N may differ
    between ranks. A forward pass takes one small collective, its gradient one
    more, and a product with the Hessian two. Statistics and counts are in
    float32 or better, also for inputs in bfloat16.

    In evaluation mode it takes the running statistics, and without them those of this
    process's batch, as torch's layer does.

    Attributes:
        synchronised (bool): If it is False, each process uses the statistics of
            its own batch; see :func:`set_sync_norms`.
        num_groups (int): The batch consists of as many groups of equal size,
            one after the other, each with its own statistics. They share the
            collectives. Read with statistics over all processes only.
        scales (Scales, optional): Those of the model while a loss is being
            evaluated whose Hessian is wanted, else None. Gradients that the loss
            takes itself are derived twice more.
    """

    synchronised = True
    num_groups = 1
    scales: Scales | None = None

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueRefusal(
                'DifferentiableSyncBN: expected an input of '
                f'shape (N, C, ...), got {tuple(input.shape)}.'
            )

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, and update the running statistics like ``BN``."""
        # In evaluation the processes need not have equally many batches. torch's
        # SyncBatchNorm does not wait for the others there, either.
        synchronised = self.synchronised and self.training
        if not synchronised or get_world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        kind = statistics_type(input)
        ones = torch.ones(self.num_features, dtype=kind, device=input.device)
        out, found = sync_batch_norm(
            self,
            input,
            ones if self.weight is None else self.weight,
            torch.zeros_like(ones) if self.bias is None else self.bias,
            self.num_groups,
        )
        if self.track_running_stats:
            self._update_statistics(found)
        return out

    @torch.no_grad()
    def _update_statistics(self, found: Statistics) -> None:
        unbiased = found.var * (found.count / (found.count - 1))
        for mean, var in zip(found.mean, unbiased, strict=True):
            self.num_batches_tracked.add_(1)
            factor = self.momentum
            if factor is None:
                factor = self.num_batches_tracked.to(self.running_mean).reciprocal()
            self.running_mean.lerp_(mean.to(self.running_mean), factor)
            self.running_var.lerp_(var.to(self.running_var), factor)

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

    Raises:
        TypeError: For a norm that does more, such as those of mmpretrain's SparK.
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
        if type(module).forward not in _PLAIN_FORWARDS:
            raise TypeRefusal(
                f'sync_norms={synchronised}: a {type(module).__name__} has a forward pass '
                'of its own, which the layer in its place would not have. Leave '
                'model.sync_norms (sync_bn) out, or give the model a plain norm.'
            )
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
