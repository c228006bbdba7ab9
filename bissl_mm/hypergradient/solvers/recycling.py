"""One Krylov basis for all right-hand sides of an upper phase."""

import math

import torch
from torch import Tensor

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ..linalg.basis import Basis, flatten, row_dot, row_norm, unflatten
from ..linalg.vectors import Vectors
from .base import (
    BoundSolver,
    LinearOperator,
    Solution,
    Solver,
    Status,
    finish,
    not_finite,
)
from .minres import MinresRun
from .secant_model import ModelStep, SecantModel


@check_keys
class RecyclingSolver(Solver):
    r"""The smallest residual over directions that a whole phase shares.

    The operator is the same for all N_U solves of an upper phase. Products
    made are kept: orthonormal directions :math:`V` and orthonormal
    :math:`C` with :math:`A V = C R`, :math:`R` triangular. A new right-hand
    side is first fitted with what is there, :math:`x = V R^{-1} C^T b`, which
    costs no product; only what is left is attacked with new ones. This
    residual is known, never grows and never exceeds that of the zero vector,
    whatever the signs of the eigenvalues. Where rounding would make this
    untrue, on an operator that is (nearly) singular or has very large
    eigenvalues, no product is kept any more, and the rest of the solve is
    that of :class:`MinresSolver`.

    What the products have not shown of :math:`A` is taken for the identity,
    of which :math:`A = I + H/(\lambda + \delta)` has much. The model
    :math:`\tilde A` made so, equal to :math:`A` on :math:`V`, gives the next
    direction, and with ``extrapolate`` also a last step
    :math:`\tilde A^{-1} r` that no product is spent on. What it leaves is
    *estimated*: by how far :math:`A` was at most from the identity on the
    directions that stood at the same place in earlier solves of the phase. It
    is taken where the tolerance is not known to be reached and the estimate is
    below what is known, and never where there is nothing to estimate from, as
    in the first solve. A solve that ends by an estimate is ``ESTIMATED``, not
    ``CONVERGED``: a right-hand side in directions that none before it had can
    leave much more, at worst what ``IdentitySolver`` leaves there. Of the
    solves of a phase that could do without any product, which say nothing of
    their own right-hand side, the 1st, 2nd, 4th, 8th and so on spend one all
    the same, so that the estimate meets more than the first solve.

    Memory is two vectors a kept product and one more, in blocks of four
    and up to two blocks to spare, for a phase. A checkpoint written within
    one holds them, so that a resumed run goes on the same.

    Args:
        max_iters (int): Largest number of new products a solve. Defaults to
            10.
        tolerance (float): Stop once ``||b - A x|| / ||b||``, as known or
            estimated, is at most this. Defaults to 0.01.
        max_basis (int): Products kept from one solve to the next, the first
            of the phase. Defaults to 16.
        extrapolate (bool): See above. Without it
            :attr:`Solution.residual_norm` is no estimate. Defaults to True.

    Source:
        Eisenstat, Elman & Schultz 1983 (generalised conjugate residuals);
        Parks et al. 2006 (recycling). The model is the secant update of the
        identity by all products at once, Schnabel 1983.
    """

    def __init__(
        self,
        max_iters: int = 10,
        tolerance: float = 0.01,
        max_basis: int = 16,
        extrapolate: bool = True,
    ) -> None:
        check_positive_int('RecyclingSolver', 'max_iters', max_iters)
        check_positive_int('RecyclingSolver', 'max_basis', max_basis)
        check_non_negative('RecyclingSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance
        self.max_basis = max_basis
        self.extrapolate = extrapolate

    def bind(
        self, operator: LinearOperator, state: dict[str, Tensor] | None = None
    ) -> 'RecyclingSolves':
        """See :meth:`Solver.bind`; the state holds the basis."""
        return RecyclingSolves(self, operator, state)

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        return self.bind(operator)._solve(rhs, rhs_square)


class RecyclingSolves(BoundSolver):
    """The solves of one operator, with what they know of it.

    Args:
        solver (RecyclingSolver): The settings.
        operator (LinearOperator): Applies ``A``.
        state (dict, optional): Of :meth:`state_dict`. Defaults to None:
            nothing is known.
    """

    def __init__(
        self,
        solver: RecyclingSolver,
        operator: LinearOperator,
        state: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(solver, operator)
        state = state or {}
        self._directions = Basis(state.get('directions'))
        self._images = Basis(state.get('images'))
        # Checkpoints are read onto the device, where only rows belong.
        self._model = (
            SecantModel(state['triangle'].cpu(), state['overlap'].cpu())
            if state
            else SecantModel()
        )
        # By place in a solve: ||A z - z|| / ||z|| off the known space.
        self._unseen: list[float] = state['unseen'].tolist() if state else []
        # Solves so far that could have done without a product.
        self._num_free = int(state.get('num_free', 0))
        self._residual: Tensor | None = None

    def state_dict(self) -> dict[str, Tensor]:
        """The basis; empty without one."""
        if not len(self._images):
            return {}
        return dict(
            directions=self._directions.rows,
            images=self._images.rows,
            triangle=self._model.triangle.clone(),
            overlap=self._model.overlap.clone(),
            unseen=torch.tensor(self._unseen, dtype=torch.float64),
            num_free=torch.tensor(self._num_free),
        )

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        operator, max_iters = self.operator, self.solver.max_iters
        r = self._flatten(rhs)
        rhs_norm = row_norm(r).item()
        wanted = self.solver.tolerance * rhs_norm
        weights, along = self._fit_known(r)
        curvature, status, num_iters = math.inf, Status.MAX_ITERS, 0
        largest = 0.0
        while True:
            residual = row_norm(r).item()
            step = ModelStep(self._model, along, residual)
            estimate = self._estimate(step, num_iters)
            # Not "<=": a NaN must get through to the status.
            if not min(residual, estimate) > wanted and (
                num_iters or residual <= wanted or self._may_be_free()
            ):
                # A residual that is known is not risked for an estimate.
                status = Status.ESTIMATED if residual > wanted else Status.CONVERGED
                break
            if num_iters == max_iters:
                break
            u = self._complement(step, r)
            if u is None:
                status = Status.EXHAUSTED
                break
            c = flatten(operator(unflatten(u, rhs)), out=self._images.spare(r))
            num_iters += 1
            in_u, size = torch.stack((row_dot(u, c), row_norm(c))).tolist()
            if not math.isfinite(size):
                return not_finite(rhs, num_iters)
            curvature = min(curvature, in_u)
            if not self._append(u, c, in_u, size, num_iters - 1):
                # The image (nearly) lies in the space already: no way on.
                status, largest = Status.EXHAUSTED, size
                break
            weight, along_u = torch.stack((row_dot(c, r), row_dot(u, r)))
            r.addcmul_(c, weight.to(r), value=-1.0)
            weights = torch.cat((weights, weight.cpu()[None]))
            along = (
                torch.cat((along, along_u.cpu()[None]))
                - weights[-1] * self._model.overlap[:, -1]
            )
        if status in (Status.CONVERGED, Status.EXHAUSTED):
            estimate = math.inf
        if status is Status.EXHAUSTED:
            # All products may be as rough as the largest.
            largest = max(largest, self._model.largest)
        parts = self._model.parts(weights)
        # Where rounding of the kept products may leave more than is wanted,
        # one product shows what is left.
        eps = torch.finfo(r.dtype).eps
        rounding = eps * self._model.rounding(parts, largest)
        is_hidden = rounding > max(wanted, 8 * eps * rhs_norm)
        if is_hidden and status is Status.CONVERGED:
            status = Status.EXHAUSTED if num_iters < max_iters else Status.MAX_ITERS
        if status is not Status.EXHAUSTED or num_iters == max_iters:
            x = self._solution(parts, r, step if estimate < residual else None)
            residual = math.hypot(min(residual, estimate), rounding)
            if residual > rhs_norm:
                x, residual = torch.zeros_like(x), rhs_norm
        else:
            # Rounding has used up the basis, not the problem.
            x = self._solution(parts, r, None)
            run = MinresRun(
                operator,
                rhs,
                max_iters - num_iters,
                wanted,
                rhs_norm,
                max(largest, self._model.largest),
            )
            x, status, residual = (
                run.improve(x) if is_hidden else run.solve(x, r, residual)
            )
            num_iters += run.num_iters
            if status is Status.NOT_FINITE:
                return not_finite(rhs, num_iters)
            curvature = min(curvature, run.curvature)
        self._forget()
        return finish(
            unflatten(x, rhs),
            status,
            num_iters,
            r.new_tensor(residual**2),
            r.new_tensor(curvature),
            rhs_norm**2,
        )

    def _flatten(self, rhs: Vectors) -> Tensor:
        """A copy of the right-hand side in memory of the last one's."""
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

    def _fit_known(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Take off ``r`` what the known images hold of it; their weights and
        what is left along the directions."""
        weights = self._images.dots(r)
        self._images.add_to_(r, -weights)
        return weights.cpu(), self._directions.dots(r).cpu()

    def _estimate(self, step: ModelStep, place: int) -> float:
        """Norm of what the model's step leaves; infinite if unknown."""
        if (
            not self.solver.extrapolate
            or place >= len(self._unseen)
            or not step.is_sane
        ):
            return math.inf
        # Off the known directions, and along them.
        return math.hypot(self._unseen[place] * step.direction_norm, step.gap)

    def _may_be_free(self) -> bool:
        """Whether the estimate is enough for a solve without a product."""
        self._num_free += 1
        return self._num_free & (self._num_free - 1) != 0

    def _complement(self, step: ModelStep, residual: Tensor) -> Tensor | None:
        """The model's direction off the known ones, a unit vector in the
        spare row; None if nothing is left of it."""
        vector = self._directions.spare(residual)
        step.direction(residual, self._directions, self._images, out=vector)
        rest = row_norm(vector).item()
        # It lies off the directions but for rounding, of which an operator
        # far from the identity makes more with every product.
        for _ in range(2):
            parts = self._directions.dots(vector)
            if parts.norm().item() <= 8 * torch.finfo(vector.dtype).eps * rest:
                break
            self._directions.add_to_(vector, -parts)
            rest = row_norm(vector).item()
        if not rest > 1e-5 * step.sum_size:
            return None
        return vector.div_(rest)

    def _append(
        self, u: Tensor, c: Tensor, in_u: float, size: float, place: int
    ) -> bool:
        """Take in a product ``c = A u``, making a unit vector of ``c`` off
        the other images; False if it brings nothing new."""
        column = torch.zeros(len(self._images), dtype=torch.float64)
        rest = size
        for _ in range(2):
            before = rest
            parts = self._images.dots(c)
            self._images.add_to_(c, -parts)
            *parts, rest = torch.cat((parts, row_norm(c)[None])).tolist()
            column += torch.tensor(parts, dtype=torch.float64)
            # Where little was removed, so little rounding is left of it that
            # a second pass would find nothing.
            if rest > 0.7 * before:
                break
        # A solution is R^-1 of the weights, and its product rounds like R:
        # beyond this the residual would no longer be that of the solution.
        limit = 0.01 / torch.finfo(c.dtype).eps
        if not self._model.condition_with(column, rest, size) < limit:
            return False
        c /= rest
        self._model.append(column, rest, self._images.dots(u).cpu(), in_u)
        self._directions.append(u)
        self._images.append(c)
        unseen = self._model.unseen_of_last()
        if place == len(self._unseen):
            self._unseen.append(unseen)
        else:
            self._unseen[place] = max(unseen, self._unseen[place])
        return True

    def _solution(self, parts: Tensor, r: Tensor, step: ModelStep | None) -> Tensor:
        """The sum of the directions, and the model's step on top."""
        if step is not None:
            return step.extrapolation(r, self._directions, self._images, parts)
        return self._directions.add_to_(torch.zeros_like(r), parts)

    def _forget(self) -> None:
        """The last beyond ``max_basis``: R stays triangular without them."""
        for kept in (self._directions, self._images, self._model):
            kept.truncate(self.solver.max_basis)
