"""Collectives of one process that pretends to be one of several.

What a process gets from another one is a copy of its own tensors.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Work


class _Done(Work):
    def wait(self, timeout=None):
        return True

    def is_completed(self):
        return True

    def get_future(self):
        future = torch.futures.Future()
        future.set_result(None)
        return future


# Boxed objects do not keep them alive.
_kept: list[Work] = []


def _done() -> Any:
    _kept.append(_Done())
    return _kept[-1].boxed()


def run(name: str, args: tuple) -> Any:
    """The result of a collective.

    Args:
        name (str): Name of the operation in c10d.
        args (tuple): Its arguments, with tensors on the pretended device.
    """
    if name in ('barrier', 'monitored_barrier_'):
        return _done()
    first = args[0]
    if name == 'allreduce_':
        if 'MAX' not in str(args[2] if len(args) > 2 else None):
            for tensor in first:
                tensor.elem.mul_(dist.get_world_size())
    elif name == 'allgather_':
        for parts, own in zip(first, args[1], strict=True):
            for part in parts:
                part.elem.copy_(own.elem)
    elif name == '_allgather_base_':
        own = args[1].elem
        copies = torch.cat([own.reshape(-1)] * (first.numel() // own.numel()))
        first.elem.copy_(copies.view_as(first.elem))
    elif name == 'reduce_scatter_':
        for out, parts in zip(first, args[1], strict=True):
            out.elem.copy_(parts[dist.get_rank()].elem * dist.get_world_size())
    elif name == 'alltoall_':
        for out in first:
            out.elem.copy_(args[1][dist.get_rank()].elem)
    elif name != 'broadcast_':
        raise NotImplementedError(name)
    return first, _done()
