"""LARS in the form that the paper uses."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ...registry import OPTIMIZERS
from ...utils.check import check_non_negative
from ...utils.errors import ValueRefusal
from ..distributed import from_first_rank


@OPTIMIZERS.register_module()
class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling with the rate outside the momentum.

    For every tensor p with gradient g, learning rate a and buffer b:

    .. math::
        u &= g + w p \\
        q &= c \|p\| / \|u\| \text{, or 1 where a norm is zero} \\
        b &\leftarrow m b + q u \\
        p &\leftarrow p - a b

    mmpretrain's LARS has the learning rate inside the buffer, :math:`b
    \leftarrow m b + a q u`. Its steps lag behind a rising rate: under a constant
    gradient it has moved 0.58, 0.75 and 0.92 times as far after 10, 50 and 200
    steps of the bilevel warm-up.

    Args:
        params (Iterable): Parameters or groups of them.
        lr (float): Learning rate a.
        momentum (float): Momentum m. Defaults to 0.9.
        weight_decay (float): Weight decay w. Defaults to 0.
        eta (float): Trust coefficient c. Defaults to the paper's 0.001.
        min_decay_dims (int): Tensors of fewer dimensions do not decay. 2 leaves
            out biases and norms, as Bardes et al. do. Defaults to 0, as in the
            released runs: every tensor decays.
        min_trust_dims (int): Tensors of fewer dimensions have a trust ratio of
            1. Defaults to 0. So have those of a group with ``lars_exclude=True``,
            which mmpretrain's configs set by ``paramwise_cfg``.

    Raises:
        ValueError: If a setting is negative, or if a state belongs to another
            optimizer.

    Source:
        4.2.1, arXiv:2410.02387; Bardes et al., arXiv:2105.04906.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 0.001,
        min_decay_dims: int = 0,
        min_trust_dims: int = 0,
    ) -> None:
        defaults = dict(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            eta=eta,
            min_decay_dims=min_decay_dims,
            min_trust_dims=min_trust_dims,
        )
        for name, value in defaults.items():
            check_non_negative('LARS', name, value)
        super().__init__(params, defaults)

    def __setstate__(self, state: dict) -> None:
        for group in state['param_groups']:
            if 'min_trust_dims' not in group:
                raise ValueRefusal(
                    'bissl_mm.LARS: the checkpoint belongs to another '
                    'optimizer (the momentum of mmpretrain.LARS contains the '
                    'learning rate). Set its type, or load_from instead of '
                    '--resume.'
                )
        super().__setstate__(state)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Any:
        """One step; returns the loss if a closure computes one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update([p for p in group['params'] if p.grad is not None], group)
        return loss

    def _update(self, params: list[Tensor], group: dict) -> None:
        if not params:
            return
        updates = [p.grad for p in params]
        if group['weight_decay']:
            _replace(
                updates,
                params,
                group['min_decay_dims'],
                lambda u, p: torch._foreach_add(u, p, alpha=group['weight_decay']),
            )
        _replace(
            updates,
            params,
            math.inf if group.get('lars_exclude') else group['min_trust_dims'],
            lambda u, p: _trust(u, p, group['eta']),
        )
        for p in params:
            if 'momentum_buffer' not in self.state[p]:
                self.state[p]['momentum_buffer'] = torch.zeros_like(p)
        buffers = [self.state[p]['momentum_buffer'] for p in params]
        torch._foreach_mul_(buffers, group['momentum'])
        torch._foreach_add_(buffers, updates)
        torch._foreach_add_(params, buffers, alpha=-group['lr'])


def _replace(
    updates: list[Tensor], params: list[Tensor], min_dims: float, function: Callable
) -> None:
    """Change the updates of tensors with at least ``min_dims`` dimensions, in
    place in the list."""
    places = [i for i, p in enumerate(params) if p.dim() >= min_dims]
    if places:
        changed = function([updates[i] for i in places], [params[i] for i in places])
        for i, update in zip(places, changed, strict=True):
            updates[i] = update


def _trust(updates: list[Tensor], params: list[Tensor], eta: float) -> list[Tensor]:
    """The updates times their trust ratios. No value is read from the device."""
    p, u = (
        torch.stack([n.to(norms[0]) for n in norms])
        for norms in (torch._foreach_norm(params), torch._foreach_norm(updates))
    )
    # The rounding of norms depends on the number of threads, so all ranks take
    # the norms of rank 0.
    p, u = from_first_rank(torch.stack((p, u)))
    ratios = torch.where((p > 0) & (u > 0), eta * p / u, torch.ones_like(p))
    return list(
        torch._foreach_mul(
            updates,
            [r.to(x.device) for r, x in zip(ratios.unbind(), updates, strict=True)],
        )
    )
