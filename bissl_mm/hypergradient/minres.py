"""The iterate of smallest residual, for operators of any sign."""

import math

import torch
from torch import Tensor

from ..utils.check import check_keys, check_non_negative, check_positive_int
from .basis import Basis, flatten, row_norm, unflatten
from .solver import (LinearOperator, Solution, Solver, Status, finish,
                     not_finite)
from .vectors import Vectors, zeros_like


@check_keys
class MinresSolver(Solver):
    """Minimal residuals: of all vectors in the Krylov space, the best.

    The operator may be indefinite, as that of a barely trained network is:
    the residual never grows with the iterations and never exceeds that of the
    zero vector. Conjugate gradients need fewer iterations where the operator
    is positive definite.

    The Lanczos vectors are kept and orthogonalised against each other: in
    single precision the short recursion loses its orthogonality within some
    ten iterations. Memory is one vector an iteration.

    Args:
        max_iters (int): Largest number of iterations, of one product each.
            Defaults to 10.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this.
            Defaults to 0.01.

    Source:
        Paige & Saunders 1975.
    """

    def __init__(self, max_iters: int = 10, tolerance: float = 0.01) -> None:
        check_positive_int('MinresSolver', 'max_iters', max_iters)
        check_non_negative('MinresSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance

    @torch.no_grad()
    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        start = flatten(rhs)
        rhs_norm = row_norm(start).item()
        if rhs_norm == 0:
            return Solution(zeros_like(rhs), Status.CONVERGED, 0, 0.,
                            math.inf)
        basis, vector = Basis(), start / rhs_norm
        # A V_k = V_(k+1) T, with T of one row more than columns.
        matrix = torch.zeros(self.max_iters + 1, self.max_iters,
                             dtype=torch.float64)
        status = Status.MAX_ITERS
        for k in range(self.max_iters):
            basis.append(vector)
            image = flatten(operator(unflatten(vector, rhs)))
            for _ in range(2):
                parts = basis.dots(image)
                basis.add_to_(image, -parts)
                matrix[:k + 1, k] += parts.cpu()
            rest = row_norm(image).item()
            matrix[k + 1, k] = rest
            if not math.isfinite(rest):
                return not_finite(rhs, k + 1)
            weights, residual = _least_squares(matrix[:k + 2, :k + 1])
            # Below rounding the space is invariant: nothing is left to find.
            exhausted = rest <= 100 * torch.finfo(
                image.dtype).eps * matrix[:k + 1, :k + 1].norm().item()
            if residual <= self.tolerance or exhausted:
                if residual <= max(self.tolerance, 1e-6):
                    status = Status.CONVERGED
                break
            vector = image / rest
        x = torch.zeros_like(start)
        basis.add_to_(x, rhs_norm * weights)
        x = unflatten(x, rhs)
        size = len(basis)
        tridiagonal = matrix[:size, :size]
        curvature = torch.linalg.eigvalsh(
            (tridiagonal + tridiagonal.T) / 2)[0]
        square = start.new_tensor((residual * rhs_norm)**2)
        return finish(x, status, size, square,
                      square.new_tensor(curvature.item()), rhs_norm**2)


def _least_squares(matrix: Tensor):
    """Weights that bring ``matrix @ weights`` nearest to the first unit
    vector, and the distance left."""
    target = torch.zeros(len(matrix), 1, dtype=matrix.dtype)
    target[0] = 1.
    weights = torch.linalg.lstsq(matrix, target, driver='gelsd').solution
    return weights[:, 0], (target - matrix @ weights).norm().item()
