"""One Krylov basis for all right-hand sides of an upper phase."""

import math
from typing import Dict, List, Optional

import torch
from torch import Tensor

from ..utils.check import check_keys, check_non_negative, check_positive_int
from .basis import Basis, flatten, row_dot, row_norm, unflatten
from .solver import LinearOperator, Solution, Solver, Status, finish
from .vectors import Vectors, clone, zeros_like


@check_keys
class RecyclingSolver(Solver):
    r"""The smallest residual over directions that a whole phase shares.

    The operator is the same for all N_U solves of an upper phase. Products
    made are kept: orthonormal directions :math:`V` and orthonormal
    :math:`C` with :math:`A V = C R`, :math:`R` triangular. A new right-hand
    side is first fitted with what is there, :math:`x = V R^{-1} C^T b`, which
    costs no product; only what is left is attacked with new ones. This
    residual is known, never grows and never exceeds that of the zero vector,
    whatever the signs of the eigenvalues.

    What the products have not shown of :math:`A` is taken for the identity,
    of which :math:`A = I + H/(\lambda + \delta)` has much. The model
    :math:`\tilde A` made so, equal to :math:`A` on :math:`V`, gives the next
    direction, and with ``extrapolate`` also a last step
    :math:`\tilde A^{-1} r` that no product is spent on. What it leaves is
    *estimated*: by how far :math:`A` was at most from the identity on the
    directions that stood at the same place in earlier solves of the phase. It
    is taken where the estimate is below what is known without it, and never
    where there is nothing to estimate from, as in the first solve.

    Memory is two vectors a kept product, held between phases too. A
    checkpoint written within a phase holds them, so that a resumed run goes
    on the same.

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

    def __init__(self, max_iters: int = 10, tolerance: float = 0.01,
                 max_basis: int = 16, extrapolate: bool = True) -> None:
        check_positive_int('RecyclingSolver', 'max_iters', max_iters)
        check_positive_int('RecyclingSolver', 'max_basis', max_basis)
        check_non_negative('RecyclingSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance
        self.max_basis = max_basis
        self.extrapolate = extrapolate
        self._directions, self._images = Basis(), Basis()
        self.reset()

    def reset(self) -> None:
        """Forget the basis: the operator is another one."""
        self._directions.clear()
        self._images.clear()
        # R and V^T C; small, and read on the host.
        self._triangle = torch.zeros(0, 0, dtype=torch.float64)
        self._overlap = torch.zeros(0, 0, dtype=torch.float64)
        # By place in a solve: ||A z - z|| / ||z|| off the known space.
        self._unseen: List[float] = []

    def state_dict(self) -> Dict[str, Tensor]:
        """The basis; empty without one."""
        if not len(self._images):
            return {}
        return dict(directions=self._directions.rows,
                    images=self._images.rows,
                    triangle=self._triangle.clone(),
                    overlap=self._overlap.clone(),
                    unseen=torch.tensor(self._unseen, dtype=torch.float64))

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Take up a basis of :meth:`state_dict`, or none."""
        self.reset()
        if state:
            self._directions = Basis(state['directions'])
            self._images = Basis(state['images'])
            # Checkpoints are read onto the device, where only rows belong.
            self._triangle = state['triangle'].cpu()
            self._overlap = state['overlap'].cpu()
            self._unseen = state['unseen'].tolist()

    @torch.no_grad()
    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        r = flatten(rhs)
        rhs_norm = row_norm(r).item()
        if rhs_norm == 0:
            return Solution(zeros_like(rhs), Status.CONVERGED, 0, 0.,
                            math.inf)
        if not math.isfinite(rhs_norm):
            return Solution(clone(rhs), Status.NOT_FINITE, 0, math.nan,
                            math.nan)
        self._directions.to(r.device)
        self._images.to(r.device)
        weights = self._images.dots(r)
        self._images.add_to_(r, -weights)
        weights, along = weights.cpu(), self._directions.dots(r).cpu()
        curvature, status, num_iters = math.inf, Status.MAX_ITERS, 0
        while True:
            residual = row_norm(r).item()
            step = _ModelStep(self._triangle, self._overlap, along, residual)
            estimate = self._estimate(step, num_iters)
            # Not "<=": a NaN must get through to the status.
            if not min(residual, estimate) > self.tolerance * rhs_norm:
                status = Status.CONVERGED
                break
            if num_iters == self.max_iters:
                break
            u = self._complement(step, r)
            if u is None:
                status = Status.EXHAUSTED
                break
            c = flatten(operator(unflatten(u, rhs)))
            num_iters += 1
            in_u, size = torch.stack((row_dot(u, c), row_norm(c))).tolist()
            if not math.isfinite(size):
                return Solution(clone(rhs), Status.NOT_FINITE, num_iters,
                                math.nan, math.nan)
            curvature = min(curvature, in_u)
            if not self._append(u, c, in_u, size, num_iters - 1):
                # The image lies in the space already: no way on from here.
                status = Status.EXHAUSTED
                break
            c = self._images.last
            weight, along_u = torch.stack((row_dot(c, r), row_dot(u, r)))
            r.addcmul_(c, weight.to(r), value=-1.)
            weights = torch.cat((weights, weight.cpu()[None]))
            along = torch.cat((along, along_u.cpu()[None])) \
                - weights[-1] * self._overlap[:, -1]
        x = self._solution(weights, r, step if estimate < residual else None)
        self._forget()
        return finish(unflatten(x, rhs), status, num_iters,
                      r.new_tensor(min(residual, estimate)**2),
                      r.new_tensor(curvature), rhs_norm**2)

    def _estimate(self, step: '_ModelStep', place: int) -> float:
        """Norm of what the model's step leaves; infinite if unknown."""
        if not self.extrapolate or place >= len(self._unseen) \
                or not step.is_sane:
            return math.inf
        # Off the known directions, and along them.
        return math.hypot(self._unseen[place] * step.direction_norm,
                          step.gap)

    def _complement(self, step: '_ModelStep',
                    residual: Tensor) -> Optional[Tensor]:
        """The model's direction off the known ones, a unit vector; None if
        nothing is left of it."""
        vector = step.direction(residual, self._directions, self._images) \
            if step.is_sane else residual.clone()
        size = rest = row_norm(vector).item()
        # It lies off them but for rounding, which is large where little of
        # the residual is left of it.
        for _ in range(2):
            parts = self._directions.dots(vector)
            if parts.norm().item() <= 8 * torch.finfo(
                    vector.dtype).eps * rest:
                break
            self._directions.add_to_(vector, -parts)
            rest = row_norm(vector).item()
        return vector.div_(rest) if rest > 1e-4 * size else None

    def _append(self, u: Tensor, c: Tensor, in_u: float, size: float,
                place: int) -> bool:
        """Take in a product ``c = A u``; False if it brings nothing new."""
        count = len(self._images)
        column = torch.zeros(count, dtype=torch.float64)
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
        if rest <= 1e-5 * size:
            return False
        c /= rest
        # V^T C gets a row of products with u, and a column of those with c
        # that needs no look at the rows: V^T A u = R^T C^T u.
        row = self._images.dots(u).cpu()
        right = (self._triangle.T @ row - self._overlap @ column) / rest
        corner = (in_u - row.dot(column).item()) / rest
        self._overlap = _bordered(self._overlap, right, row, corner)
        self._triangle = _bordered(self._triangle, column, None, rest)
        self._directions.append(u)
        self._images.append(c)
        self._note_unseen(place)
        return True

    def _note_unseen(self, place: int) -> None:
        # A u - u = C R_last - u, less what lies along the older directions.
        last = self._triangle[:, -1]
        along = self._overlap @ last
        square = last.dot(last) - along[:-1].square().sum() \
            - 2 * along[-1] + 1
        unseen = math.sqrt(max(square.item(), 0.))
        if place == len(self._unseen):
            self._unseen.append(unseen)
        else:
            self._unseen[place] = max(unseen, self._unseen[place])

    def _solution(self, weights: Tensor, r: Tensor,
                  step: Optional['_ModelStep']) -> Tensor:
        """:math:`V R^{-1}` times the weights of the images, and the model's
        step on top."""
        if len(weights):
            weights = torch.linalg.solve_triangular(
                self._triangle, weights[:, None], upper=True)[:, 0]
        if step is not None:
            return step.extrapolation(r, self._directions, self._images,
                                      weights)
        x = torch.zeros_like(r)
        self._directions.add_to_(x, weights)
        return x

    def _forget(self) -> None:
        """The last beyond ``max_basis``: R stays triangular without them."""
        size = self.max_basis
        self._directions.truncate(size)
        self._images.truncate(size)
        self._triangle = self._triangle[:size, :size]
        self._overlap = self._overlap[:size, :size]


class _ModelStep:
    r"""The solution of :math:`\tilde A e = r` in small quantities.

    With :math:`W = A V`, :math:`T = V^T W`, :math:`E = W - V T` and :math:`Q`
    the projection off :math:`V` the model is :math:`\tilde A = W V^T +
    V E^T + Q`. Its solution is :math:`e = V y + z`, where :math:`(T - E^T E)
    y = V^T r - E^T r` and :math:`z = Q r - E y`; :math:`W^T r = 0`, since the
    residual is orthogonal to all images. What it leaves is :math:`(Q - Q A Q)
    z`.

    Args:
        triangle (Tensor): R, shape ``(k, k)``, float64.
        overlap (Tensor): :math:`V^T C`, likewise.
        along (Tensor): :math:`V^T r`, shape ``(k, )``.
        residual (float): :math:`\|r\|`.
    """

    def __init__(self, triangle: Tensor, overlap: Tensor, along: Tensor,
                 residual: float) -> None:
        a = along
        t = overlap @ triangle
        t = (t + t.T) / 2
        outside = triangle.T @ triangle - t @ t
        y, wanted, schur = a, a + t @ a, t - outside
        if len(a):
            y = torch.linalg.lstsq(schur, wanted[:, None], driver='gelsd',
                                   rcond=1e-6).solution[:, 0]
        self._y = y
        #: What a (nearly) singular model leaves along V, a norm.
        self.gap = (wanted - schur @ y).norm().item()
        #: Whether rounding of the sum below stays small.
        self.is_sane = y.norm().item() <= 1e3 * residual
        # On the directions and on the images: z = r + V on_v - C on_c.
        self._on_v = t @ y - a
        self._on_c = triangle @ y
        square = residual**2 - a.dot(a) + 2 * y.dot(t @ a) \
            + y.dot(outside @ y)
        #: Norm of z.
        self.direction_norm = math.sqrt(max(square.item(), 0.)) \
            if len(a) else residual

    def direction(self, r: Tensor, directions: Basis,
                  images: Basis) -> Tensor:
        """z, shape ``(n, )``."""
        return self._sum(r, directions, images, self._on_v)

    def extrapolation(self, r: Tensor, directions: Basis, images: Basis,
                      weights: Tensor) -> Tensor:
        """e and the weighted sum of the directions, shape ``(n, )``."""
        return self._sum(r, directions, images,
                         self._on_v + self._y + weights)

    def _sum(self, r: Tensor, directions: Basis, images: Basis,
             on_v: Tensor) -> Tensor:
        result = r.clone()
        directions.add_to_(result, on_v)
        images.add_to_(result, -self._on_c)
        return result


def _bordered(matrix: Tensor, column, row, corner: float) -> Tensor:
    """One column and one row (None: zeros) more."""
    size = len(matrix)
    result = matrix.new_zeros(size + 1, size + 1)
    result[:size, :size] = matrix
    result[:size, size] = torch.as_tensor(column, dtype=matrix.dtype)
    if row is not None:
        result[size, :size] = torch.as_tensor(row, dtype=matrix.dtype)
    result[size, size] = corner
    return result
