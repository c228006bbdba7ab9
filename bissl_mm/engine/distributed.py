"""Several processes without DistributedDataParallel.

Gradients of the bilevel stage come from ``torch.autograd.grad``. It triggers none
of DistributedDataParallel's reductions and gives no error. Therefore models get
a plain wrapper, and each step averages its quantities explicitly.
"""

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, all_reduce_params, broadcast, get_world_size
from mmengine.model import BaseModel, MMDistributedDataParallel
from torch import Tensor, nn

from ..models.pretext.norm import set_sync_norms
from ..registry import MODEL_WRAPPERS


@torch.no_grad()
def mean_over_ranks(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Average tensors over processes: one all-reduce for each data type.

    Args:
        tensors (Sequence[Tensor]): Same shapes on every rank. Not changed.

    Returns:
        tuple[Tensor]: The means; the tensors themselves in one process.
    """
    if get_world_size() == 1:
        return tuple(tensors)
    means = [t.clone(memory_format=torch.contiguous_format) for t in tensors]
    average_(means)
    return tuple(means)


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Average tensors over processes in place, like :func:`mean_over_ranks`."""
    all_reduce_params(list(tensors), op='mean')


@torch.no_grad()
def from_first_rank(tensor: Tensor) -> Tensor:
    """Overwrite the argument with the values of rank 0, and return it.

    Args:
        tensor (Tensor): Same shape and type on every rank. Changed.
    """
    broadcast(tensor, 0)
    return tensor


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any process."""
    if get_world_size() == 1:
        # This does not wait for the device.
        return flag
    value = torch.tensor(float(flag), device=device)
    all_reduce(value, op='max')
    return bool(value.item())


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
