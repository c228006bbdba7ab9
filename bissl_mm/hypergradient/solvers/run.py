"""What a recycling solve knows of itself on its way."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..linalg.vectors import Vectors
from .base import Status


class Product(NamedTuple):
    """What is known of a product ``A u``, all of it on the host.

    Attributes:
        in_u (float): Its inner product with the direction u.
        size (float): Its norm.
        rest (float): The norm of what the older images leave of it.
        column (Tensor): The weights of the older images, shape ``(k, )``.
        of_direction (list[Tensor]): What else a solver asked for.
    """

    in_u: float
    size: float
    rest: float
    column: Tensor
    of_direction: list[Tensor]


@dataclass
class Run:
    """One solve of :class:`RecycledSolves`, on its way.

    Attributes:
        rhs (Vectors): The right-hand side.
        rhs_norm (float): Its norm.
        wanted (float): The norm of the residual to stop at.
        weights (Tensor): The weights of the images, shape ``(k, )``.
        residual (float): The norm of what is left, as known.
        estimate (float): The norm that a last step without a product would
            leave; infinite without one.
        status (Status): How the solve would end now.
        num_iters (int): Products made.
        curvature (float): The smallest curvature met.
        largest (float): The norm of a product that was not kept.
    """

    rhs: Vectors
    rhs_norm: float
    wanted: float
    weights: Tensor
    residual: float = math.nan
    estimate: float = math.inf
    status: Status = Status.MAX_ITERS
    num_iters: int = 0
    curvature: float = math.inf
    largest: float = 0.0
