r"""The term that ties the two backbones, :math:`\lambda r`.

:math:`r(\theta_P, \theta_D) = \frac{1}{2} \|\theta_P - \theta_D\|_2^2`,
Eq. (3) and 4.2.2, arXiv:2410.02387. Its gradient is added by hand: it is
known, and a pass of automatic differentiation over all weights would cost
time at every lower step.
"""

from typing import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def add_proximal_grad_(lower: Sequence[Tensor], upper: Sequence[Tensor],
                       reg_weight: float) -> Tensor:
    r"""Add :math:`\lambda(\theta_P - \theta_D)` to the gradients in place.

    Args:
        lower (Sequence[Tensor]): :math:`\theta_P`; their ``grad`` is changed,
            one that is None becomes the term itself.
        upper (Sequence[Tensor]): :math:`\theta_D`, same shapes.
        reg_weight (float): :math:`\lambda`.

    Returns:
        Tensor: The distance :math:`\|\theta_P - \theta_D\|_2`, without
        dimensions.
    """
    for param in lower:
        if param.grad is None:
            param.grad = torch.zeros_like(param)
    if lower[0].is_cuda:
        # Few large kernels.
        differences = torch._foreach_sub(list(lower), list(upper))
        torch._foreach_add_([p.grad for p in lower], differences,
                            alpha=reg_weight)
        norms = torch._foreach_norm(differences)
    else:
        # Tensor by tensor, so that each difference stays in the cache.
        norms = []
        for p, d in zip(lower, upper):
            difference = p - d
            p.grad.add_(difference, alpha=reg_weight)
            norms.append(torch.linalg.vector_norm(difference))
    return torch.linalg.vector_norm(torch.stack(norms))
