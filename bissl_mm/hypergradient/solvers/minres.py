"""The vector of smallest residual, for operators of any sign."""

import math

import torch
from torch import Tensor

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ..linalg.basis import Basis, flatten, on_host, row_norm, unflatten
from ..linalg.vectors import Vectors
from .base import LinearOperator, Solution, Solver, Status, finish, not_finite


def rounding_of(dtype: torch.dtype) -> float:
    """The rounding of a product and of later sums, relative to its norm."""
    return 4 * torch.finfo(dtype).eps


@check_keys
class MinresSolver(Solver):
    """Minimal residuals: the best of all vectors in the Krylov space.

    The operator may be indefinite, as it is for a network that is hardly
    trained. Up to the rounding of the products, the residual never grows with
    the iterations and never exceeds that of the zero vector. Where the operator
    is positive definite, conjugate gradients need fewer iterations.

    All Lanczos vectors are kept and orthogonalised against each other. In
    single precision the short recursion would lose orthogonality within about
    ten iterations. Memory: one vector per iteration.

    The largest effect of the products' rounding on the residual is known, and
    the solution minimises the sum of both, see :class:`KrylovSpace`. If rounding
    is the larger part, one product gives the true residual, and the iteration
    restarts from it. The largest eigenvalues have a smaller part in that
    residual, so its products round less. If a restart brings no gain, the solve
    ends as ``EXHAUSTED``.

    Args:
        max_iters (int): Largest number of iterations, of one product each.
            Defaults to 10.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this,
            rounding included. Defaults to 0.01.

    Source:
        Paige & Saunders 1975.
    """

    def __init__(self, max_iters: int = 10, tolerance: float = 0.01) -> None:
        check_positive_int('MinresSolver', 'max_iters', max_iters)
        check_non_negative('MinresSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        r = flatten(rhs)
        rhs_norm = row_norm(r).item()
        run = MinresRun(
            operator, rhs, self.max_iters, self.tolerance * rhs_norm, rhs_norm
        )
        x, status, residual = run.solve(torch.zeros_like(r), r, rhs_norm)
        if status is Status.NOT_FINITE:
            return not_finite(rhs, run.num_iters)
        return finish(
            unflatten(x, rhs),
            status,
            run.num_iters,
            residual**2,
            run.curvature,
            rhs_norm**2,
        )


class MinresRun:
    """A sequence of Krylov spaces, each built on the residual of the last.

    Args:
        operator (LinearOperator): A symmetric operator.
        rhs (Vectors): The right-hand side of the whole problem.
        max_iters (int): Largest number of products in all.
        wanted (float): The norm of the residual to stop at.
        rhs_norm (float): The norm of ``rhs``.
        largest (float): The largest norm of a product so far. Defaults to 0.

    Attributes:
        num_iters (int): Products made.
        curvature (float): The smallest Ritz value met.
    """

    def __init__(
        self,
        operator: LinearOperator,
        rhs: Vectors,
        max_iters: int,
        wanted: float,
        rhs_norm: float,
        largest: float = 0.0,
    ) -> None:
        self._operator, self._rhs = operator, rhs
        self._rhs_norm = rhs_norm
        self._max_iters, self._wanted = max_iters, wanted
        # A residual below this is not worth another space.
        self._least = max(wanted, 100 * torch.finfo(rhs[0].dtype).eps * rhs_norm)
        self._largest = largest
        self.num_iters, self.curvature = 0, math.inf

    def solve(
        self, x: Tensor, r: Tensor, r_norm: float, is_sure: bool = True
    ) -> tuple[Tensor, Status, float]:
        """Improve a solution of the whole problem.

        Args:
            x (Tensor): The solution, shape ``(n, )``; zeros to begin with.
            r (Tensor): Its residual, shape ``(n, )``.
            r_norm (float): The norm of ``r``.
            is_sure (bool): See :class:`KrylovSpace`. Defaults to True.

        Returns:
            tuple: The solution, flat; the status; the norm of the residual,
            rounding included.
        """
        size = r_norm
        while True:
            # If it is not sure, one product is kept for the residual.
            number = self._max_iters - self.num_iters - (not is_sure)
            space = KrylovSpace(r / size, number, self._largest, is_sure)
            if not self._fill(space, number, self._wanted / size):
                return x, Status.NOT_FINITE, math.nan
            self._largest = space.largest
            self.curvature = min(self.curvature, space.curvature())
            left = (space.left + space.rounding) * size
            if not left < size:
                return x, self._ended(size), size
            before = x
            x = space.added_to(x, size)
            if is_sure and (left <= self._least or self.num_iters == self._max_iters):
                return x, self._ended(left), left
            # The true residual includes what rounding has done.
            r, size_r, left = self._look(x)
            if not left < size:
                return before, self._ended(size), size
            if left <= self._least or size_r == 0 or self.num_iters == self._max_iters:
                return x, self._ended(left), left
            size = size_r
            is_sure = self.num_iters == self._max_iters - 1

    def improve(self, x: Tensor) -> tuple[Tensor, Status, float]:
        """Improve a solution whose residual is hidden by rounding.

        It goes on from ``x``, or from zero if the residual of ``x`` is larger
        than that of zero. The result is that of :meth:`solve`.
        """
        r, size, left = self._look(x)
        if not math.isfinite(size):
            return x, Status.NOT_FINITE, math.nan
        if left > self._rhs_norm:
            x, r = torch.zeros_like(x), flatten(self._rhs)
            size = left = self._rhs_norm
        if left <= self._least or size == 0 or self.num_iters == self._max_iters:
            return x, self._ended(left), left
        return self.solve(x, r, size, self.num_iters == self._max_iters - 1)

    def _look(self, x: Tensor) -> tuple[Tensor, float, float]:
        """The residual of ``x``, its norm, and the norm with the rounding of
        the product."""
        image = flatten(self._operator(unflatten(x, self._rhs)))
        self.num_iters += 1
        r = flatten(self._rhs) - image
        size, of_image, of_x = torch.stack(
            [row_norm(t) for t in (r, image, x)]
        ).tolist()
        return (
            r,
            size,
            size + rounding_of(r.dtype) * max(of_image, min(1.0, self._largest) * of_x),
        )

    def _ended(self, left: float) -> Status:
        if left <= self._least:
            return Status.CONVERGED
        return (
            Status.MAX_ITERS if self.num_iters == self._max_iters else Status.EXHAUSTED
        )

    def _fill(self, space: 'KrylovSpace', number: int, wanted: float) -> bool:
        """Spend at most ``number`` products, until the residual is small enough
        or cannot become smaller. False if a NaN was met."""
        for _ in range(number):
            image = flatten(self._operator(unflatten(space.direction, self._rhs)))
            self.num_iters += 1
            if not space.append(image):
                return False
            if space.left + space.rounding <= wanted or space.is_used_up:
                break
        return True


class KrylovSpace:
    r"""Orthonormal :math:`V` with :math:`A V_k = V_{k+1} T`, from one vector.

    For weights y the residual is :math:`e_1 - T y` along :math:`V_{k+1}`.
    Rounding adds at most about :math:`\sum_j \epsilon s_j |y_j|`. The safe
    assumption is that the error of a product is a few eps of the norm of A. In
    most cases it is only a few eps of the product's own norm, or of the norm of
    its vector, because A contains the identity. After this assumption the true
    residual has to be computed. The least squares problem is solved with 1 to k
    of its singular values, and the solution with the smallest sum of residual
    and rounding is taken.

    Args:
        start (Tensor): The first direction, a unit vector of shape ``(n, )``.
        max_size (int): Largest number of products.
        largest (float): The largest norm of a product so far.
        is_sure (bool): Whether to make the safe assumption.

    Attributes:
        direction (Tensor): The vector to multiply next.
        left (float): The norm of the residual of the best solution, relative
            to that of ``start``.
        rounding (float): The most that rounding adds to it.
        is_used_up (bool): Whether another product would bring only rounding.
        largest (float): The largest norm of a product, including those here.
    """

    def __init__(
        self, start: Tensor, max_size: int, largest: float, is_sure: bool
    ) -> None:
        self._is_sure = is_sure
        self.direction, self.largest = start, largest
        self.left, self.rounding, self.is_used_up = 1.0, 0.0, False
        self._eps = rounding_of(start.dtype)
        self._basis = Basis()
        # The weights of the basis in the best solution.
        self._weights = torch.zeros(0, dtype=torch.float64)
        self._matrix = torch.zeros(max_size + 1, max_size, dtype=torch.float64)

    def append(self, image: Tensor) -> bool:
        """Append the product with :attr:`direction`, which is overwritten.
        False if the product is not finite."""
        basis, matrix, k = self._basis, self._matrix, len(self._basis)
        basis.append(self.direction)
        parts = []
        for _ in range(2):
            parts.append(basis.dots(image))
            basis.add_to_(image, -parts[-1])
        *parts, rest = on_host(*parts, row_norm(image))
        for part in parts:
            matrix[: k + 1, k] += part
        rest = rest.item()
        matrix[k + 1, k] = rest
        size = matrix[: k + 2, k].norm().item()
        if not math.isfinite(size):
            return False
        self.largest = max(self.largest, size)
        self._minimise(matrix[: k + 2, : k + 1])
        # The next direction would be rounding, and would not be orthogonal.
        self.is_used_up |= rest <= 24 * self._eps * max(size, min(1.0, self.largest))
        self.direction = image / rest if rest > 0 else image
        return True

    def _minimise(self, matrix: Tensor) -> None:
        # Columns are scaled so that all have the same rounding.
        scale = matrix.norm(dim=0).clamp_min(
            self.largest if self._is_sure else min(1.0, self.largest)
        )
        scale = scale.clamp_min(torch.finfo(torch.float64).tiny)
        left, values, right = torch.linalg.svd(matrix / scale, full_matrices=False)
        # Row j: the solution with the first j + 1 singular values.
        solutions = (left[0] / values.clamp_min(1e-300))[:, None] * right
        solutions = solutions.cumsum(0)
        residuals = solutions @ (matrix / scale).T
        residuals[:, 0] -= 1
        residuals = residuals.norm(dim=1)
        rounding = self._eps * solutions.norm(dim=1)
        best = (residuals + rounding).argmin()
        self.left, self.rounding = residuals[best].item(), rounding[best].item()
        self._weights = solutions[best] / scale
        # From here on a longer basis is not better.
        self.is_used_up = bool(rounding[-1] > residuals[-1])

    def added_to(self, x: Tensor, size: float) -> Tensor:
        """``x`` and ``size`` times the best solution, shape ``(n, )``."""
        x = x.clone()
        self._basis.add_to_(x, size * self._weights)
        return x

    def curvature(self) -> float:
        """The smallest Ritz value."""
        k = len(self._basis)
        square = self._matrix[:k, :k]
        return torch.linalg.eigvalsh((square + square.T) / 2)[0].item()
