"""The derivative of the last lower steps themselves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .linalg.vectors import Vectors, zeros_like
from .operators.base import Operator
from .solvers.base import BoundSolver, Solution, Status


@dataclass(frozen=True)
class SGDStep:
    r"""One step of SGD, as its derivative needs it. The lists have one number
    per unknown.

    Attributes:
        curvature (Operator): :math:`\nabla^2 \mathcal{L}^P` in all unknowns, at
            the parameters and on the batch of the step.
        weight (float): :math:`\lambda` at the step.
        clip (float): The factor of the clipped gradient; it counts as a
            constant.
        lr (list[float]): Learning rates.
        momentum (list[float]): Factors of the buffers.
        dampening (list[float]): The gradient enters the buffer times one minus
            this.
        weight_decay (list[float]): Factors of the parameters.
        nesterov (list[bool]): Whether the step looks ahead.
        begins (list[bool]): Whether the buffer was empty.
    """

    curvature: Operator
    weight: float
    clip: float
    lr: list[float]
    momentum: list[float]
    dampening: list[float]
    weight_decay: list[float]
    nesterov: list[bool]
    begins: list[bool]


class UnrolledSteps(Operator):
    """Steps of the lower level, in their order.

    Args:
        steps (Sequence[SGDStep]): At least one.
        metric (Operator): The second derivative of the regularizer in the
            backbone, the first unknowns. The others are free.
        cross (Callable): See :meth:`Regularizer.cross`.
        size (int): Number of tensors of the backbone.
    """

    def __init__(
        self,
        steps: Sequence[SGDStep],
        metric: Operator,
        cross: Callable[[Vectors], Vectors],
        size: int,
    ) -> None:
        self.steps, self.size = list(steps), size
        self._metric, self._cross = metric, cross

    def __call__(self, vectors: Vectors) -> Vectors:
        r"""The transposed derivative of the last parameters in
        :math:`\theta_D`, which the first parameters do not depend on.

        Args:
            vectors (Vectors): One tensor per unknown.

        Returns:
            Vectors: One tensor per tensor of the backbone.
        """
        total = zeros_like(vectors[: self.size])
        adjoint, buffers = vectors, zeros_like(vectors)
        for step in reversed(self.steps):
            adjoint, buffers, pulled = self._back(step, adjoint, buffers)
            total = tuple(t + p for t, p in zip(total, pulled, strict=True))
        return total

    def _back(
        self, step: SGDStep, adjoint: Vectors, buffers: Vectors
    ) -> tuple[Vectors, Vectors, Vectors]:
        """Adjoints of parameters and buffers before the step, and what the step
        adds to that of the upper backbone."""
        slopes, direct, before = [], [], []
        for i, (a, m) in enumerate(zip(adjoint, buffers, strict=True)):
            update = -step.lr[i] * a
            slope = torch.zeros_like(a)
            if step.nesterov[i]:
                slope, update = update, step.momentum[i] * update
            m = m + update
            # Without momentum, torch does not dampen either.
            is_first = step.begins[i] or not step.momentum[i]
            share = 1.0 if is_first else 1 - step.dampening[i]
            slope = slope + share * m
            before.append(0 * m if step.begins[i] else step.momentum[i] * m)
            direct.append(a + step.weight_decay[i] * slope)
            slopes.append(step.clip * slope)
        products = step.curvature(tuple(slopes))
        backbone = tuple(slopes[: self.size])
        pulls = (*self._metric(backbone), *zeros_like(tuple(slopes[self.size :])))
        after = tuple(
            d + p + step.weight * c
            for d, p, c in zip(direct, products, pulls, strict=True)
        )
        return (
            after,
            tuple(before),
            tuple(-step.weight * c for c in self._cross(backbone)),
        )

    def close(self) -> None:
        """Free the graphs of all steps."""
        for step in self.steps:
            step.curvature.close()


class UnrolledSolves(BoundSolver):
    """Products with the derivative of the last lower steps, in the place of
    solutions of the linear system.

    Args:
        operator (UnrolledSteps): The steps.
    """

    operator: UnrolledSteps

    def __init__(self, operator: UnrolledSteps) -> None:
        self.operator = operator

    @torch.no_grad()
    def solve(self, rhs: Vectors) -> Solution:
        """One product per step; the residual is that of no system.

        Args:
            rhs (Vectors): One tensor per unknown; not changed.
        """
        value = self.operator(rhs)
        number = len(self.operator.steps)
        good = all(bool(v.isfinite().all()) for v in value)
        status = Status.FIXED_ITERS if good else Status.NOT_FINITE
        return Solution(value, status, number, math.nan, math.inf)
