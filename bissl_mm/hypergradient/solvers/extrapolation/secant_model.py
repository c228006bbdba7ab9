"""What products have shown of an operator, in small matrices."""

import math

import torch
from torch import Tensor

from ...linalg.basis import Basis
from ..kept_products import KeptProducts, bordered, leading


class SecantModel(KeptProducts):
    r"""The symmetric :math:`\tilde A` that agrees with :math:`A` on known
    directions and is the identity off them.

    Directions :math:`V` and images :math:`C` are orthonormal, and :math:`A V
    = C R`. Only :math:`R` and :math:`V^T C` are held here, on the host, in
    float64, shape ``(k, k)`` each. Let :math:`W = A V`, :math:`T = V^T W`,
    :math:`E = W - V T`, and let :math:`Q` be the projection off :math:`V`.
    The model is :math:`\tilde A = W V^T + V E^T + Q`.

    Args:
        triangle (Tensor, optional): :math:`R`. Defaults to None: there is no
            product yet.
        overlap (Tensor, optional): :math:`V^T C`, likewise.

    Source:
        The secant update of the identity by all products at once, Schnabel
        1983.
    """

    def __init__(
        self, triangle: Tensor | None = None, overlap: Tensor | None = None
    ) -> None:
        super().__init__(triangle)
        self.overlap = (
            torch.zeros(0, 0, dtype=torch.float64) if overlap is None else overlap
        )

    def learn(self, column: Tensor, rest: float, images_u: Tensor, in_u: float) -> None:
        r"""Take in a product :math:`A u = C \cdot` ``column`` + ``rest`` c.

        Args:
            column (Tensor): The weights of the older images, shape ``(k, )``.
            rest (float): The weight of the new image c.
            images_u (Tensor): :math:`C^T u`, shape ``(k, )``.
            in_u (float): :math:`u^T A u`.
        """
        # V^T c needs no look at the rows: V^T A u = R^T C^T u.
        right = (self.triangle.T @ images_u - self.overlap @ column) / rest
        corner = (in_u - images_u.dot(column).item()) / rest
        self.overlap = bordered(self.overlap, right, images_u, corner)
        self.append(column, rest)

    def truncate(self, size: int) -> None:
        """Forget the products from number ``size`` on."""
        super().truncate(size)
        self.overlap = leading(self.overlap, size)

    def unseen_of_last(self) -> float:
        r"""How far :math:`A` was from the model on the newest direction u.

        This is :math:`\|Q (A u - u)\|`, with :math:`Q` the projection off the
        older directions.
        """
        # A u - u = C R_last - u, less what lies along the older directions.
        last = self.triangle[:, -1]
        along = self.overlap @ last
        square = last.dot(last) - along[:-1].square().sum() - 2 * along[-1] + 1
        # A value below the rounding of the terms says nothing.
        if square <= 1e-6 * last.dot(last):
            return math.inf
        return math.sqrt(square.item())


class ModelStep:
    r"""The solution of :math:`\tilde A e = r`, for an r that is orthogonal to
    all images.

    It is :math:`e = V y + z`, where :math:`(T - E^T E) y = V^T r - E^T r`
    and :math:`z = Q r - E y`; :math:`W^T r = 0`. With the true :math:`A` it
    leaves :math:`(Q - Q A Q) z`. Only the weights of long vectors are computed
    here.

    Args:
        model (SecantModel): :math:`\tilde A`.
        along (Tensor): :math:`V^T r`, shape ``(k, )``, float64, on the host.
        residual (float): :math:`\|r\|`.

    Attributes:
        is_sane (bool): Whether more than rounding is left of the sums below.
            If not, :meth:`direction` is :math:`Q r`.
        gap (float): The norm of what a (nearly) singular model leaves along
            :math:`V`.
        direction_norm (float): The norm of z.
        sum_size (float): The size of the terms that :meth:`direction` adds.
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
