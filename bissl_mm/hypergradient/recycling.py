"""One Krylov basis for all right-hand sides of an upper phase."""

import math
from typing import Dict, List

import torch

from ..utils.check import check_keys, check_non_negative, check_positive_int
from .solver import LinearOperator, Solution, Solver, Status, finish
from .vectors import Vectors, add_scaled, clone, dot, norm, zeros_like


@check_keys
class RecyclingSolver(Solver):
    r"""The smallest residual over all directions of the phase so far.

    The operator is the same for all N_U solves of an upper phase. Every
    product made is kept as a pair :math:`(u_i, c_i = A u_i)` with orthonormal
    :math:`c_i`. A new right-hand side is first fitted with what is there,
    :math:`x = \sum_i (c_i \cdot b) u_i`, which costs no product; only what is
    left is attacked with new ones (generalised conjugate residuals). The
    residual never grows and never exceeds that of the zero vector, whatever
    the signs of the eigenvalues.

    Memory is two vectors a kept product. A checkpoint written within a phase
    holds them, so that a resumed run goes on the same.

    Args:
        max_iters (int): Largest number of new products a solve. Defaults to
            10.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this.
            Defaults to 0.01.
        max_basis (int): Pairs kept; beyond it the oldest go. Defaults to 16.

    Source:
        Eisenstat, Elman & Schultz 1983 (GCR); Parks et al. 2006 (recycling).
    """

    def __init__(self, max_iters: int = 10, tolerance: float = 0.01,
                 max_basis: int = 16) -> None:
        check_positive_int('RecyclingSolver', 'max_iters', max_iters)
        check_positive_int('RecyclingSolver', 'max_basis', max_basis)
        check_non_negative('RecyclingSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance
        self.max_basis = max_basis
        self._directions: List[Vectors] = []
        self._images: List[Vectors] = []

    def reset(self) -> None:
        """Forget the basis: the operator is another one."""
        self._directions, self._images = [], []

    def state_dict(self) -> Dict[str, List[Vectors]]:
        """The basis."""
        return dict(directions=list(self._directions),
                    images=list(self._images))

    def load_state_dict(self, state: Dict[str, List[Vectors]]) -> None:
        """Take up a basis of :meth:`state_dict`, or none."""
        self._directions = [tuple(v) for v in state.get('directions', ())]
        self._images = [tuple(v) for v in state.get('images', ())]

    @torch.no_grad()
    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        # A basis read from a checkpoint may lie on another device.
        self._directions = [_beside(u, rhs) for u in self._directions]
        self._images = [_beside(c, rhs) for c in self._images]
        x, r = zeros_like(rhs), clone(rhs)
        rhs_norm = norm(rhs).item()
        if rhs_norm == 0:
            return Solution(x, Status.CONVERGED, 0, 0., math.inf)
        for u, c in zip(self._directions, self._images):
            weight = dot(c, r)
            x = add_scaled(x, u, weight)
            r = add_scaled(r, c, -weight)
        rr = dot(r, r)
        curvature, status = math.inf, Status.MAX_ITERS
        num_iters, u = 0, r
        while True:
            if not math.sqrt(rr.item()) > self.tolerance * rhs_norm:
                status = Status.CONVERGED
                break
            if num_iters == self.max_iters:
                break
            c = operator(u)
            num_iters += 1
            curvature = min(curvature, (dot(u, c) / dot(u, u)).item())
            size = norm(c).item()
            u, c = self._orthogonalise(u, c)
            rest = norm(c).item()
            if not math.isfinite(rest):
                return Solution(clone(rhs), Status.NOT_FINITE, num_iters,
                                math.nan, math.nan)
            if rest <= 1e-5 * size:
                # The image lies in the space already: no way on from here.
                break
            u = add_scaled(zeros_like(u), u, 1. / rest)
            c = add_scaled(zeros_like(c), c, 1. / rest)
            weight = dot(c, r)
            # Where r.Ar vanishes the residual stands still; its image then
            # is the way on.
            stuck = abs(weight.item()) <= 1e-6 * math.sqrt(rr.item())
            x = add_scaled(x, u, weight)
            r = add_scaled(r, c, -weight)
            rr = dot(r, r)
            self._keep(u, c)
            u = c if stuck else r
        return finish(x, status, num_iters, rr,
                      rr.new_tensor(curvature), rhs_norm**2)

    def _orthogonalise(self, u: Vectors, c: Vectors):
        """Twice: once leaves rounding of the size of what was removed."""
        for _ in range(2):
            for other_u, other_c in zip(self._directions, self._images):
                part = dot(other_c, c)
                u = add_scaled(u, other_u, -part)
                c = add_scaled(c, other_c, -part)
        return u, c

    def _keep(self, u: Vectors, c: Vectors) -> None:
        self._directions.append(u)
        self._images.append(c)
        if len(self._images) > self.max_basis:
            del self._directions[0], self._images[0]


def _beside(vectors: Vectors, like: Vectors) -> Vectors:
    return tuple(v.to(t.device) for v, t in zip(vectors, like, strict=True))
