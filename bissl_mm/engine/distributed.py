"""Several processes without DistributedDataParallel.

Gradients of the bilevel stage come from ``torch.autograd.grad``. It triggers none
of DistributedDataParallel's reductions and gives no error. Therefore models get
a plain wrapper, and each step averages its quantities explicitly.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce, broadcast, get_comm_device, get_world_size
from mmengine.model import BaseModel, MMDistributedDataParallel
from torch import Tensor, nn

from ..models.pretext.norm import set_sync_norms
from ..registry import MODEL_WRAPPERS

#: Of gradients and products that are sent at once. A larger one takes memory, and
#: a smaller one time: each has a latency of its own.
BUCKET_BYTES = 64 * 2**20


@torch.no_grad()
def mean_over_ranks(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Average tensors over processes, by few collectives.

    Tensors of one type and device are sent together, in buckets of at most 64
    MiB. A larger tensor has a bucket of its own.

    Args:
        tensors (Sequence[Tensor]): Same shapes on every rank. Not changed.

    Returns:
        tuple[Tensor]: The means; the tensors themselves in one process.
    """
    tensors = tuple(tensors)
    if get_world_size() == 1:
        return tensors
    means = list(tensors)
    for bucket in _buckets(tensors):
        flat = torch.cat([tensors[i].reshape(-1) for i in bucket])
        all_reduce(flat)
        parts = flat.div_(get_world_size()).split([tensors[i].numel() for i in bucket])
        for i, part in zip(bucket, parts, strict=True):
            means[i] = part.view(tensors[i].shape)
    return tuple(means)


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Average tensors over processes in place, like :func:`mean_over_ranks`."""
    if get_world_size() > 1:
        torch._foreach_copy_(list(tensors), list(mean_over_ranks(tensors)))


def _buckets(tensors: Sequence[Tensor]) -> list[list[int]]:
    """The numbers of the tensors that are sent together."""
    full: list[list[int]] = []
    open_: dict[tuple, tuple[list[int], int]] = {}
    for i, tensor in enumerate(tensors):
        kind = (tensor.dtype, tensor.device)
        size = tensor.numel() * tensor.element_size()
        bucket, filled = open_.get(kind, ([], 0))
        if bucket and filled + size > BUCKET_BYTES:
            full.append(bucket)
            bucket, filled = [], 0
        open_[kind] = (bucket + [i], filled + size)
    return full + [bucket for bucket, _ in open_.values()]


@torch.no_grad()
def from_first_rank(tensor: Tensor) -> Tensor:
    """Overwrite the argument with the values of rank 0, and return it.

    Args:
        tensor (Tensor): Same shape and type on every rank. Changed.
    """
    broadcast(tensor, 0)
    return tensor


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any process.

    The processes exchange it from host to host. Nothing waits for a GPU, whose
    step may still be under way.

    Args:
        flag (bool): That of this process.
    """
    if get_world_size() == 1:
        return flag
    value = torch.tensor(float(flag))
    group = dist.group.WORLD
    if get_comm_device(group).type != 'cpu':
        group = _host_group(group)
    all_reduce(value, op='max', group=group)
    return bool(value)


@lru_cache(maxsize=1)
def _host_group(group: Any) -> Any:
    """A group of the processes of ``group``, for tensors of the host."""
    return dist.new_group(backend='gloo')


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper for the ordinary stages, without a CUDA device.

    mmengine passes ``device_ids`` to every DistributedDataParallel, but modules
    on the CPU refuse them.

    Args:
        module (nn.Module): The model.
        device_ids (list, optional): Not used.
        sync_norms (bool): Whether batch norms take statistics over all
            processes, as with ``sync_bn='torch'`` on GPUs. Defaults to False.
        **kwargs: See ``MMDistributedDataParallel``.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: list | None = None,
        sync_norms: bool = False,
        **kwargs,
    ) -> None:
        if sync_norms:
            module = set_sync_norms(module, True)
        super().__init__(module=module, **kwargs)


@MODEL_WRAPPERS.register_module()
class PlainDistributedModel(nn.Module):
    """Model wrapper for several processes that reduces nothing by itself.

    :class:`BiSSLOptimWrapper` averages gradients and Hessian-vector products
    over ranks. Set ``model_wrapper_cfg=dict(type=
    'bissl_mm.PlainDistributedModel')``; ``tools/train.py`` does.

    Args:
        module (BaseModel): The model. Its parameters and buffers become those
            of rank 0.
    """

    module: BaseModel

    def __init__(self, module: BaseModel) -> None:
        super().__init__()
        self.module = module
        for tensor in module.state_dict().values():
            broadcast(tensor, 0)

    def forward(self, *args, **kwargs):
        """Forward of the wrapped model."""
        return self.module(*args, **kwargs)

    def train_step(self, *args, **kwargs):
        """Train step of the wrapped model."""
        return self.module.train_step(*args, **kwargs)

    def val_step(self, *args, **kwargs):
        """Validation step of the wrapped model."""
        return self.module.val_step(*args, **kwargs)

    def test_step(self, *args, **kwargs):
        """Test step of the wrapped model."""
        return self.module.test_step(*args, **kwargs)
