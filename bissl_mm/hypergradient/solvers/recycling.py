"""One Krylov basis for all right-hand sides of an upper phase."""

from torch import Tensor

from ...utils.check import check_in, check_keys, check_non_negative, check_positive_int
from ..linalg.vectors import Vectors
from .base import LinearOperator, Solution, Solver
from .extrapolation import ExtrapolatingSolves
from .recycled_solves import RecycledSolves

#: Products that are kept unless ``max_basis`` says otherwise, and as many as did as
#: well where v alone nearly solves the system; ``benchmarks/README.md``, "How many
#: products must be kept?".
KEPT, FEW_KEPT = 16, 4


@check_keys
class RecyclingSolver(Solver):
    r"""The smallest residual over directions that a whole phase shares.

    The operator is the same for all N_U solves of an upper phase, so the
    products made are kept. They are orthonormal directions :math:`V` and
    orthonormal images :math:`C` with :math:`A V = C R`, :math:`R` triangular.
    A new right-hand side is first fitted with these, :math:`x = V R^{-1} C^T
    b`, which costs no product. New products are spent only on what is left.
    The residual is known. It never grows and never exceeds that of the zero
    vector, whatever the signs of the eigenvalues. Rounding can break this on
    an operator that is (nearly) singular or has very large eigenvalues. Then
    no further product is kept, and :class:`MinresSolver` does the rest of the
    solve.

    With ``extrapolate``, the operator is taken for the identity where no
    product has shown it: :math:`A = I + H/(\lambda + \delta)` is close to it.
    This gives a model :math:`\tilde A`, which equals :math:`A` on :math:`V`.
    The model chooses the next direction. It also gives a last step
    :math:`\tilde A^{-1} r` on which no product is spent.

    What this step leaves is *estimated*, from the directions that stood at the
    same place in earlier solves of the phase: the largest distance there of
    :math:`A` from the identity. The step is taken if the tolerance is not
    known to be reached and the estimate is below the known residual. The first
    solve of a phase has nothing to estimate from and never takes it. A solve
    that ends by an estimate is ``ESTIMATED``, not ``CONVERGED``. A right-hand
    side in directions that none before it had can leave much more, at worst
    what ``IdentitySolver`` leaves there. A solve that needs no product says
    nothing about its own right-hand side. Therefore the 1st, 2nd, 4th, 8th and
    so on of these solves spend one product all the same.

    Memory: two vectors for each kept product and one more, in blocks of four,
    with up to two blocks to spare, for the time of a phase. A checkpoint
    within the phase holds them, so that a resumed run goes on the same.

    Args:
        max_iters (int): Largest number of new products per solve. Defaults
            to 10.
        tolerance (float): Stop once ``||b - A x|| / ||b||``, as known or
            estimated, is at most this. Defaults to 0.01.
        max_basis (int): How many products are kept from one solve to the
            next: the first ones of the phase. Defaults to 16.
        extrapolate (bool): See above. False leaves out the model and the last
            step: what is left of a right-hand side is its next direction, and
            :attr:`Solution.residual_norm` is never an estimate. Defaults to
            True.

    Source:
        Eisenstat, Elman & Schultz 1983 (generalised conjugate residuals);
        Parks et al. 2006 (recycling). The model is the secant update of the
        identity by all products at once, Schnabel 1983.
    """

    def __init__(
        self,
        max_iters: int = 10,
        tolerance: float = 0.01,
        max_basis: int = KEPT,
        extrapolate: bool = True,
    ) -> None:
        check_positive_int('RecyclingSolver', 'max_iters', max_iters)
        check_positive_int('RecyclingSolver', 'max_basis', max_basis)
        check_non_negative('RecyclingSolver', 'tolerance', tolerance)
        check_in('RecyclingSolver', 'extrapolate', extrapolate, (True, False))
        self.max_iters = max_iters
        self.tolerance = tolerance
        self.max_basis = max_basis
        self.extrapolate = extrapolate

    def bind(
        self, operator: LinearOperator, state: dict[str, Tensor] | None = None
    ) -> RecycledSolves:
        """See :meth:`Solver.bind`; the state holds the basis."""
        kind = ExtrapolatingSolves if self.extrapolate else RecycledSolves
        return kind(self, operator, state)

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        return self.bind(operator)._solve(rhs, rhs_square)
