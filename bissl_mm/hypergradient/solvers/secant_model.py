"""What products have shown of an operator, in small matrices."""

import math

import torch
from torch import Tensor

from ..linalg.basis import Basis


class SecantModel:
    r"""The symmetric :math:`\tilde A` that agrees with :math:`A` on known
    directions and is the identity off them.

    With orthonormal directions :math:`V`, orthonormal images :math:`C` and
    :math:`A V = C R`, all that is kept of them here is :math:`R` and
    :math:`V^T C`, on the host, in float64, shape ``(k, k)`` each. With
    :math:`W = A V`, :math:`T = V^T W`, :math:`E = W - V T` and :math:`Q` the
    projection off :math:`V` the model is :math:`\tilde A = W V^T + V E^T +
    Q`.

    Args:
        triangle (Tensor, optional): :math:`R`. Defaults to None: no product
            yet.
        overlap (Tensor, optional): :math:`V^T C`, likewise.

    Source:
        The secant update of the identity by all products at once, Schnabel
        1983.
    """

    def __init__(
        self, triangle: Tensor | None = None, overlap: Tensor | None = None
    ) -> None:
        empty = torch.zeros(0, 0, dtype=torch.float64)
        self.triangle = empty if triangle is None else triangle
        self.overlap = empty if overlap is None else overlap

    def append(
        self, column: Tensor, rest: float, images_u: Tensor, in_u: float
    ) -> None:
        r"""Take in a product :math:`A u = C \cdot` ``column`` + ``rest`` c.

        Args:
            column (Tensor): Weights of the older images, shape ``(k, )``.
            rest (float): That of the new one, c.
            images_u (Tensor): :math:`C^T u`, shape ``(k, )``.
            in_u (float): :math:`u^T A u`.
        """
        # V^T c needs no look at the rows: V^T A u = R^T C^T u.
        right = (self.triangle.T @ images_u - self.overlap @ column) / rest
        corner = (in_u - images_u.dot(column).item()) / rest
        self.overlap = _bordered(self.overlap, right, images_u, corner)
        self.triangle = _bordered(self.triangle, column, None, rest)

    def condition_with(self, column: Tensor, rest: float, size: float) -> float:
        r"""How far :math:`\|R\| \, \|R^{-1}\|` would grow with a product of
        norm ``size``, about; infinite where ``rest`` is zero."""
        inverse = column
        if len(column):
            inverse = torch.linalg.solve_triangular(
                self.triangle, column[:, None], upper=True
            )[:, 0]
            size = max(size, self.triangle.norm(dim=0).max().item())
        if rest == 0:
            return math.inf
        return size * math.hypot(1.0, inverse.norm().item()) / rest

    @property
    def largest(self) -> float:
        """Norm of the largest product; 0 without one."""
        return max(self.triangle.norm(dim=0).tolist(), default=0.0)

    def parts(self, weights: Tensor) -> Tensor:
        """:math:`R^{-1}` times the weights of the images: those of the
        directions, shape ``(k, )``."""
        if not len(weights):
            return weights
        return torch.linalg.solve_triangular(
            self.triangle, weights[:, None], upper=True
        )[:, 0]

    def rounding(self, parts: Tensor, largest: float) -> float:
        """Of the products in a sum of the directions, in eps, about.

        Args:
            parts (Tensor): Their weights, shape ``(k, )``.
            largest (float): Norm of a product that is not kept, whose
                rounding the others may have, too; 0 if there is none.
        """
        norms = self.triangle.norm(dim=0).clamp_min(largest)
        return (parts * norms).norm().item()

    def truncate(self, size: int) -> None:
        """Forget the products from number ``size`` on."""
        self.triangle = self.triangle[:size, :size]
        self.overlap = self.overlap[:size, :size]

    def unseen_of_last(self) -> float:
        r""":math:`\|Q (A u - u)\|` of the newest direction u, with Q the
        projection off the older ones: how far A was from the model."""
        # A u - u = C R_last - u, less what lies along the older directions.
        last = self.triangle[:, -1]
        along = self.overlap @ last
        square = last.dot(last) - along[:-1].square().sum() - 2 * along[-1] + 1
        # Below the rounding of the terms nothing is known of it.
        if square <= 1e-6 * last.dot(last):
            return math.inf
        return math.sqrt(square.item())


class ModelStep:
    r"""The solution of :math:`\tilde A e = r` in small quantities, for an r
    that is orthogonal to all images.

    It is :math:`e = V y + z`, where :math:`(T - E^T E) y = V^T r - E^T r`
    and :math:`z = Q r - E y`; :math:`W^T r = 0`. With the true A it
    leaves :math:`(Q - Q A Q) z`.

    Args:
        model (SecantModel): :math:`\tilde A`.
        along (Tensor): :math:`V^T r`, shape ``(k, )``, float64, on the host.
        residual (float): :math:`\|r\|`.

    Attributes:
        is_sane (bool): Whether something but rounding is left of the sums
            below; if not, :meth:`direction` is :math:`Q r`.
        gap (float): What a (nearly) singular model leaves along V, a norm.
        direction_norm (float): Norm of z.
        sum_size (float): Of the terms that :meth:`direction` sums up.
    """

    def __init__(self, model: SecantModel, along: Tensor, residual: float) -> None:
        a, triangle, overlap = along, model.triangle, model.overlap
        t = overlap @ triangle
        t = (t + t.T) / 2
        outside = triangle.T @ triangle - t @ t
        y, wanted, schur = a, a + t @ a, t - outside
        if len(a):
            y = torch.linalg.lstsq(
                schur, wanted[:, None], driver='gelsd', rcond=1e-6
            ).solution[:, 0]
        self.gap = (wanted - schur @ y).norm().item()
        square = residual**2 - a.dot(a) + 2 * y.dot(t @ a) + y.dot(outside @ y)
        square = square.item() if len(a) else residual**2
        # On directions and images: z = r + V on_v - C on_c.
        on_v, on_c = t @ y - a, triangle @ y
        largest = residual + on_v.norm().item() + on_c.norm().item()
        self.is_sane = y.norm().item() <= 1e3 * residual and square > 1e-6 * largest**2
        if not self.is_sane:
            on_v, on_c = -a, torch.zeros_like(a)
        self.direction_norm = math.sqrt(max(square, 0.0))
        self.sum_size = residual + on_v.norm().item() + on_c.norm().item()
        self._y, self._on_v, self._on_c = y, on_v, on_c

    def direction(
        self, r: Tensor, directions: Basis, images: Basis, out: Tensor
    ) -> Tensor:
        """z, shape ``(n, )``, in ``out``."""
        return self._sum(r, directions, images, self._on_v, out)

    def extrapolation(
        self, r: Tensor, directions: Basis, images: Basis, weights: Tensor
    ) -> Tensor:
        """e and the weighted sum of the directions, shape ``(n, )``."""
        return self._sum(
            r, directions, images, self._on_v + self._y + weights, torch.empty_like(r)
        )

    def _sum(
        self, r: Tensor, directions: Basis, images: Basis, on_v: Tensor, out: Tensor
    ) -> Tensor:
        out.copy_(r)
        directions.add_to_(out, on_v)
        images.add_to_(out, -self._on_c)
        return out


def _bordered(
    matrix: Tensor, column: Tensor, row: Tensor | None, corner: float
) -> Tensor:
    """One column and one row (None: zeros) more."""
    size = len(matrix)
    result = matrix.new_zeros(size + 1, size + 1)
    result[:size, :size] = matrix
    result[:size, size] = column
    if row is not None:
        result[size, :size] = row
    result[size, size] = corner
    return result
