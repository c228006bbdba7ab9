"""Several processes without DistributedDataParallel.

Gradients of the bilevel stage come from ``torch.autograd.grad``, which fires
none of DistributedDataParallel's reductions, silently. So models are wrapped
plainly and every quantity is averaged by hand in one flat all-reduce.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch import Tensor, nn

from ..models.pretext.norm import set_sync_norms
from ..registry import MODEL_WRAPPERS


def is_parallel() -> bool:
    """Whether more than one process takes part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def get_rank() -> int:
    """Rank of this process, 0 if there is only one."""
    return dist.get_rank() if is_parallel() else 0


def get_world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if is_parallel() else 1


@torch.no_grad()
def mean_over_ranks(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Average tensors over processes: one all-reduce for each data type.

    Args:
        tensors (Sequence[Tensor]): Same shapes on every rank. Not changed.

    Returns:
        tuple[Tensor]: The means; the tensors themselves in one process.
    """
    if not is_parallel():
        return tuple(tensors)
    result: list[Tensor] = list(tensors)
    groups: dict[torch.dtype, list[int]] = {}
    for i, tensor in enumerate(tensors):
        groups.setdefault(tensor.dtype, []).append(i)
    for indices in groups.values():
        flat = torch.cat([tensors[i].reshape(-1) for i in indices])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        sizes = [tensors[i].numel() for i in indices]
        for i, mean in zip(indices, flat.split(sizes), strict=True):
            result[i] = mean.view_as(tensors[i])
    return tuple(result)


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Average tensors over processes in place."""
    if is_parallel():
        for tensor, mean in zip(tensors, mean_over_ranks(tensors), strict=True):
            tensor.copy_(mean)


@torch.no_grad()
def from_first_rank(tensor: Tensor) -> Tensor:
    """The tensor of rank 0, the argument itself in one process.

    Args:
        tensor (Tensor): Same shape and type on every rank. May be changed.
    """
    if not is_parallel():
        return tensor
    # NCCL knows no tensors of the CPU, where small matrices are solved.
    is_foreign = dist.get_backend() == 'nccl' and not tensor.is_cuda
    sent = tensor.cuda() if is_foreign else tensor.contiguous()
    dist.broadcast(sent, 0)
    return sent.to(tensor.device)


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any process."""
    if not is_parallel():
        return flag
    value = torch.tensor(float(flag), device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def wait_for_all() -> None:
    """Return once every process is here."""
    if is_parallel():
        dist.barrier()


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's wrapper for the ordinary stages, without a CUDA device.

    mmengine passes ``device_ids`` to every DistributedDataParallel, which
    CPU modules refuse.

    Args:
        module (nn.Module): The model.
        device_ids (list, optional): Not used.
        sync_norms (bool): Let batch norms count over all processes, as
            ``sync_bn='torch'`` does on GPUs. Defaults to False.
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
        module (nn.Module): The model. Its parameters and buffers are set to
            those of rank 0.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        if is_parallel():
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

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
