"""Solves of one operator that share their products."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..linalg.basis import Basis, flatten, on_host, row_dot, row_norm, unflatten
from ..linalg.vectors import Vectors
from .base import BoundSolver, LinearOperator, Solution, Status, finish, not_finite
from .kept_products import KeptProducts
from .minres import MinresRun
from .run import Product, Run

if TYPE_CHECKING:
    from .recycling import RecyclingSolver


class RecycledSolves(BoundSolver):
    """The solves of one operator, with the products made so far.

    What is left of a right-hand side is the next direction (generalised
    conjugate residuals).

    Args:
        solver (RecyclingSolver): The settings.
        operator (LinearOperator): Applies ``A``.
        state (dict, optional): Of :meth:`state_dict`. Defaults to None: no
            product is known.
    """

    solver: 'RecyclingSolver'

    def __init__(
        self,
        solver: 'RecyclingSolver',
        operator: LinearOperator,
        state: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(solver, operator)
        state = state or {}
        self._directions = Basis(state.get('directions'))
        self._images = Basis(state.get('images'))
        self._products = self._products_of(state)
        self._residual: Tensor | None = None

    def _products_of(self, state: dict[str, Tensor]) -> KeptProducts:
        # Checkpoints are read onto the device, where only rows belong.
        return KeptProducts(state['triangle'].cpu()) if state else KeptProducts()

    def state_dict(self) -> dict[str, Tensor]:
        """The basis; empty without one."""
        directions, images = self._directions.rows, self._images.rows
        if directions is None or images is None:
            return {}
        return dict(
            directions=directions,
            images=images,
            triangle=self._products.triangle.clone(),
        )

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        r = self._flatten(rhs)
        norm, weights = row_norm(r), self._take_off_images(r)
        norms, weights, *along = on_host(
            torch.stack((norm, row_norm(r))), weights, *self._along_known(r)
        )
        rhs_norm, residual = norms.tolist()
        wanted = self.solver.tolerance * rhs_norm
        run = Run(rhs, rhs_norm, wanted, weights, residual)
        self._begin(*along)
        if not self._pursue(run, r):
            return not_finite(rhs, run.num_iters)
        x, residual = self._answer(run, r)
        if run.status is Status.NOT_FINITE:
            return not_finite(rhs, run.num_iters)
        for kept in (self._directions, self._images, self._products):
            # R stays triangular without the last ones.
            kept.truncate(self.solver.max_basis)
        return finish(
            unflatten(x, rhs),
            run.status,
            run.num_iters,
            residual**2,
            run.curvature,
            run.rhs_norm**2,
        )

    def _pursue(self, run: Run, r: Tensor) -> bool:
        """Spend products until the residual is small enough, and take what
        they fit off ``r``; False if a product is not finite."""
        max_iters = self.solver.max_iters
        while True:
            run.estimate = self._estimate(run.residual, run.num_iters)
            if self._is_enough(run):
                # A residual that is known is not risked for an estimate.
                is_known = not run.residual > run.wanted
                run.status = Status.CONVERGED if is_known else Status.ESTIMATED
                return True
            if run.num_iters == max_iters:
                return True
            u = self._next_direction(r, run.residual)
            if u is None:
                run.status = Status.EXHAUSTED
                return True
            c = flatten(self.operator(unflatten(u, run.rhs)), out=self._images.spare(r))
            run.num_iters += 1
            product = self._look_at(u, c)
            if not math.isfinite(product.size):
                return False
            run.curvature = min(run.curvature, product.in_u)
            if not self._append(u, c, product, run.num_iters - 1):
                # The image (nearly) lies in the space already: no way on.
                run.status, run.largest = Status.EXHAUSTED, product.size
                return True
            weight, along = row_dot(c, r), self._along_newest(u, r)
            r.addcmul_(c, weight.to(r), value=-1.0)
            weight, residual, *along = on_host(weight, row_norm(r), *along)
            run.residual = residual.item()
            run.weights = torch.cat((run.weights, weight))
            self._step_taken(weight, *along)

    def _answer(self, run: Run, r: Tensor) -> tuple[Tensor, float]:
        """The solution, flat, and the norm of what it leaves; the status of
        the run is settled."""
        max_iters = self.solver.max_iters
        if run.status in (Status.CONVERGED, Status.EXHAUSTED):
            run.estimate = math.inf
        if run.status is Status.EXHAUSTED:
            # All products may be as rough as the largest.
            run.largest = max(run.largest, self._products.largest)
        parts = self._products.parts(run.weights)
        # Where rounding of the kept products may leave more than is wanted,
        # one product shows what is left.
        eps = torch.finfo(r.dtype).eps
        rounding = eps * self._products.rounding(parts, run.largest)
        is_hidden = rounding > max(run.wanted, 8 * eps * run.rhs_norm)
        if is_hidden and run.status is Status.CONVERGED:
            run.status = (
                Status.EXHAUSTED if run.num_iters < max_iters else Status.MAX_ITERS
            )
        if run.status is not Status.EXHAUSTED or run.num_iters == max_iters:
            x = (
                self._extrapolated(parts, r)
                if run.estimate < run.residual
                else self._sum(parts, r)
            )
            residual = math.hypot(min(run.residual, run.estimate), rounding)
            if residual > run.rhs_norm:
                return torch.zeros_like(x), run.rhs_norm
            return x, residual
        # Rounding has used up the basis, not the problem.
        x = self._sum(parts, r)
        anew = MinresRun(
            self.operator,
            run.rhs,
            max_iters - run.num_iters,
            run.wanted,
            run.rhs_norm,
            max(run.largest, self._products.largest),
        )
        x, run.status, residual = (
            anew.improve(x) if is_hidden else anew.solve(x, r, run.residual)
        )
        run.num_iters += anew.num_iters
        run.curvature = min(run.curvature, anew.curvature)
        return x, residual

    # The next ones are what extrapolation does otherwise. What it wants to know of
    # rows is read from the device with all else.

    def _along_known(self, r: Tensor) -> list[Tensor]:
        """Weights for :meth:`_begin`."""
        return []

    def _begin(self, *along: Tensor) -> None:
        """Before the first product of a solve."""

    def _along_newest(self, u: Tensor, r: Tensor) -> list[Tensor]:
        """Weights for :meth:`_step_taken`, before the step."""
        return []

    def _step_taken(self, weight: Tensor, *along: Tensor) -> None:
        """``weight`` times the newest image was taken off the residual."""

    def _of_direction(self, u: Tensor) -> list[Tensor]:
        """Weights for :meth:`_keep`."""
        return []

    def _estimate(self, residual: float, place: int) -> float:
        """The norm that a last step without a product would leave; infinite
        without one.

        ``residual`` is the norm that is left so far, ``place`` the number of
        products of the solve.
        """
        return math.inf

    def _is_enough(self, run: Run) -> bool:
        """Whether a solve may end."""
        # Not "<=": a NaN must get through to the status.
        return not run.residual > run.wanted

    def _guess(self, residual: Tensor, size: float, out: Tensor) -> float:
        """Write the next direction to ``out``, not yet orthogonal to the
        known ones; the size of the terms that it is a sum of."""
        out.copy_(residual)
        return size

    def _extrapolated(self, parts: Tensor, r: Tensor) -> Tensor:
        """The solution with the step that :meth:`_estimate` is about."""
        return self._sum(parts, r)

    def _keep(self, product: Product, column: Tensor, rest: float) -> None:
        """Take a product into the small matrices."""
        self._products.append(column, rest)

    def _flatten(self, rhs: Vectors) -> Tensor:
        """A copy of the right-hand side, in the memory of the last one."""
        kept, like = self._residual, rhs[0]
        if kept is not None and (len(kept), kept.dtype, kept.device) != (
            sum(v.numel() for v in rhs),
            like.dtype,
            like.device,
        ):
            kept = None
        self._residual = r = flatten(rhs, out=kept)
        self._directions.to(r.device)
        self._images.to(r.device)
        return r

    def _take_off_images(self, row: Tensor) -> Tensor:
        """Take off a row what the images hold of it; their weights."""
        weights = self._images.dots(row)
        self._images.add_to_(row, -weights)
        return weights

    def _next_direction(self, residual: Tensor, size: float) -> Tensor | None:
        """A unit vector off the known directions, in the spare row; None if
        nothing is left of the guess."""
        vector = self._directions.spare(residual)
        sum_size = self._guess(residual, size, vector)
        # An operator far from the identity makes more rounding with every
        # product, and this has to be taken off.
        self._directions.add_to_(vector, -self._directions.dots(vector))
        parts = self._directions.dots(vector)
        rest, left = on_host(torch.stack((row_norm(vector), parts.norm())))[0].tolist()
        if left > 8 * torch.finfo(vector.dtype).eps * rest:
            self._directions.add_to_(vector, -parts)
            rest = row_norm(vector).item()
        if not rest > 1e-5 * sum_size:
            return None
        return vector.div_(rest)

    def _look_at(self, u: Tensor, c: Tensor) -> Product:
        """Take the other images off a product ``c = A u``, which is changed."""
        sizes = [row_dot(u, c), row_norm(c)]
        column = self._take_off_images(c)
        sizes, column, *of_u = on_host(
            torch.stack((*sizes, row_norm(c))), column, *self._of_direction(u)
        )
        in_u, size, rest = sizes.tolist()
        return Product(in_u, size, rest, column, of_u)

    def _append(self, u: Tensor, c: Tensor, product: Product, place: int) -> bool:
        """Take in a product, and make a unit vector off the other images of
        it.

        Args:
            u (Tensor): The direction, shape ``(n, )``.
            c (Tensor): What is left of the product; changed to the new image.
            product (Product): What is known of it.
            place (int): How many products the solve had made before.

        Returns:
            bool: False if it brings nothing new.
        """
        column, rest, size = product.column, product.rest, product.size
        # If the first pass removed little, it left so little rounding that a
        # second pass would find nothing.
        if not rest > 0.7 * size:
            more, left = on_host(self._take_off_images(c), row_norm(c))
            column, rest = column + more, left.item()
        # A solution is R^-1 of the weights, and its product rounds like R:
        # beyond this the residual would no longer be that of the solution.
        limit = 0.01 / torch.finfo(c.dtype).eps
        if not self._products.condition_with(column, rest, size) < limit:
            return False
        c /= rest
        self._keep(product, column, rest)
        self._directions.append(u)
        self._images.append(c)
        return True

    def _sum(self, parts: Tensor, like: Tensor) -> Tensor:
        """The weighted sum of the directions, shape ``(n, )``."""
        return self._directions.add_to_(torch.zeros_like(like), parts)
