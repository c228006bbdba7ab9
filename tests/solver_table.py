"""What each solver promises, one row per solver, and systems to test it on."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bissl_mm.hypergradient import (
    CGSolver,
    DenseSolver,
    DiscardSolver,
    IdentitySolver,
    LayerwiseCGSolver,
    LowRankSolver,
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    Solver,
    TruncatedCGSolver,
    Vectors,
)

SHAPES = ((2, 3), (4,), (1, 2, 2))
#: Number of unknowns of a system.
SIZE = 14
DEFINITE = torch.linspace(0.5, 20.0, SIZE, dtype=torch.float64)
INDEFINITE = torch.linspace(-3.0, 5.0, SIZE, dtype=torch.float64)
NEAR_IDENTITY = torch.linspace(0.5, 1.5, SIZE, dtype=torch.float64)

DEVICES = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]


@dataclass(frozen=True)
class Row:
    """What a solver promises.

    Both values are tested: if a row says False, the property must fail. None
    means that nothing is promised.

    Attributes:
        make (Callable): Makes the solver from ``(max_iters, tolerance)``.
            Solvers without such a setting ignore it.
        definite (bool): Solves a positive definite system of n unknowns within
            n iterations.
        indefinite (bool): Does so for a symmetric indefinite system.
        blocks (bool): Does so for a positive definite system that does not
            couple the tensors.
        near_identity (bool): Reaches a tolerance after enough iterations if all
            eigenvalues are in (0, 2).
        products (int): Products besides those that it counts as iterations.
        uses_products (bool): Whether it uses the operator.
        keeps_state (bool): Whether later solves need fewer products.
        linear (bool): Whether the solution for a sum of right-hand sides is the
            sum of the solutions, also after few iterations.
        homogeneous (bool): Whether the solution for a multiple of a right-hand
            side is that multiple of the solution.
    """

    make: Callable[[int, float], Solver]
    definite: bool | None = True
    indefinite: bool | None = True
    blocks: bool | None = True
    near_identity: bool | None = True
    products: int = 0
    uses_products: bool = True
    keeps_state: bool = False
    linear: bool = False
    homogeneous: bool = True


#: Add one row for a new solver.
SOLVERS = {
    'CG': Row(CGSolver, indefinite=False),
    # It may or may not solve an indefinite system.
    'CG, continuing': Row(lambda n, tol: CGSolver(n, tol, 'continue'), indefinite=None),
    'truncated CG': Row(TruncatedCGSolver, indefinite=False),
    'layer-wise CG': Row(
        lambda n, tol: LayerwiseCGSolver(n),
        definite=False,
        indefinite=None,
        near_identity=None,
        homogeneous=False,
    ),
    'layer-wise CG without epsilon': Row(
        lambda n, tol: LayerwiseCGSolver(n, epsilon=0.0),
        definite=False,
        indefinite=None,
        near_identity=None,
    ),
    'MINRES': Row(MinresSolver),
    'recycling': Row(
        lambda n, tol: RecyclingSolver(n, tol, max_basis=SIZE), keeps_state=True
    ),
    'recycling without estimates': Row(
        lambda n, tol: RecyclingSolver(n, tol, SIZE, extrapolate=False),
        keeps_state=True,
    ),
    'Neumann': Row(
        lambda n, tol: NeumannSolver(n, tolerance=tol),
        definite=False,
        indefinite=False,
        blocks=False,
        linear=True,
    ),
    # One more product measures the error of the sketch.
    'low rank': Row(
        lambda n, tol: LowRankSolver(n, tolerance=tol),
        products=1,
        keeps_state=True,
        linear=True,
    ),
    # The residual takes one more product.
    'dense': Row(lambda n, tol: DenseSolver(), products=1, linear=True),
    'identity': Row(
        lambda n, tol: IdentitySolver(),
        definite=False,
        indefinite=False,
        blocks=False,
        near_identity=False,
        uses_products=False,
        linear=True,
    ),
    'discard': Row(
        lambda n, tol: DiscardSolver(),
        definite=False,
        indefinite=False,
        blocks=False,
        near_identity=False,
        uses_products=False,
        linear=True,
    ),
}


def split(flat: Tensor) -> Vectors:
    """Views of a flat vector in :data:`SHAPES`."""
    parts = flat.split([math.prod(s) for s in SHAPES])
    return tuple(p.view(s) for p, s in zip(parts, SHAPES, strict=True))


def flatten(vectors: Vectors) -> Tensor:
    return torch.cat([v.flatten() for v in vectors])


def make_matrix(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """A symmetric float64 matrix with given eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(
        torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    )[0]
    return basis @ torch.diag(eigenvalues) @ basis.T


def block_diagonal() -> Tensor:
    """A positive definite float64 matrix with one block per tensor."""
    blocks = []
    for seed, shape in enumerate(SHAPES):
        generator = torch.Generator().manual_seed(seed)
        size = math.prod(shape)
        block = torch.randn(size, size, generator=generator, dtype=torch.float64)
        blocks.append(block @ block.T + torch.eye(size, dtype=torch.float64))
    return torch.block_diag(*blocks)


def random_rhs(seed: int = 1) -> Vectors:
    generator = torch.Generator().manual_seed(seed)
    return split(torch.randn(SIZE, generator=generator, dtype=torch.float64))


class Operator:
    """A dense matrix as an operator that counts its products."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.count = 0

    def __call__(self, vectors: Vectors) -> Vectors:
        self.count += 1
        return split(self.matrix @ flatten(vectors))
