"""Parameters that a loss does not reach, in a gradient of several terms and ranks.

In an ordinary training they have no gradient, so that no optimizer moves or decays them.
"""

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from ..distributed import average_


def fill_(grads: dict[str, Tensor], params: Mapping[str, Tensor]) -> list[str]:
    """Give the trained parameters that a loss does not reach a gradient of zero, which
    other ranks and terms add to; their names.

    Args:
        grads (dict[str, Tensor]): Changed.
        params (Mapping[str, Tensor]): All that the gradients may be of, by their names.
    """
    names = [n for n, p in params.items() if p.requires_grad and n not in grads]
    filled = {
        n: grads[n] if n in grads else torch.zeros_like(p)
        for n, p in params.items()
        if p.requires_grad
    }
    # In the order of the parameters, which all ranks have.
    grads.clear()
    grads.update(filled)
    return names


def average_reached_(
    grads: dict[str, Tensor], unreached: Sequence[str], others: Sequence[Tensor]
) -> list[str]:
    """Average gradients and other tensors over ranks, in place.

    Args:
        grads (dict[str, Tensor]): The same names on every rank.
        unreached (Sequence[str]): From :func:`fill_`, of this rank.
        others (Sequence[Tensor]): Same shapes on every rank.

    Returns:
        list[str]: Those of ``unreached`` that the loss of no rank reaches.
    """
    if get_world_size() == 1 or not grads:
        return list(unreached)
    names = list(grads)
    # Beside the gradients: neither a collective of its own nor, mostly, read.
    flags = grads[names[0]].new_ones(len(names))
    for name in unreached:
        flags[names.index(name)] = 0.0
    average_([*others, *grads.values(), flags])
    means = dict(zip(names, flags.tolist(), strict=True)) if unreached else {}
    return [name for name in unreached if not means[name]]


def drop_zeros_(grads: dict[str, Tensor], names: Sequence[str]) -> None:
    """Take gradients that no term has changed away: no optimizer then moves or decays
    the parameters.

    Args:
        grads (dict[str, Tensor]): Changed.
        names (Sequence[str]): From :func:`average_reached_`.
    """
    if not names:
        return
    # Read at once: each read waits for the device.
    changed = torch.stack([grads[name].any() for name in names]).tolist()
    for name, is_changed in zip(names, changed, strict=True):
        if not is_changed:
            del grads[name]
