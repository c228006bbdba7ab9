"""What each solver promises, one row a solver, and systems to hold it to."""

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
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    Solver,
    TruncatedCGSolver,
    Vectors,
)

SHAPES = ((2, 3), (4,), (1, 2, 2))
#: Unknowns of a system.
SIZE = 14
DEFINITE = torch.linspace(0.5, 20.0, SIZE, dtype=torch.float64)
INDEFINITE = torch.linspace(-3.0, 5.0, SIZE, dtype=torch.float64)
NEAR_IDENTITY = torch.linspace(0.5, 1.5, SIZE, dtype=torch.float64)

DEVICES = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]


@dataclass(frozen=True)
class Row:
    """What a solver promises. Each is tested both ways: what a row says no to
    must not hold either. None is no promise.

    Attributes:
        make (Callable): The solver, of ``(max_iters, tolerance)``; those
            without such a setting pass over it.
        definite (bool): Solves a positive definite system of n unknowns
            within n iterations.
        indefinite (bool): And a symmetric one that is not.
        blocks (bool): And a positive definite one that couples no tensors.
        near_identity (bool): Reaches a tolerance if given time, where all
            eigenvalues lie in (0, 2).
        products (int): Products beside those that it counts as iterations.
        uses_products (bool): Whether it looks at the operator.
        keeps_state (bool): Whether what it keeps saves later solves products.
        linear (bool): Whether a sum of right-hand sides has the sum of the
            solutions, also after few iterations.
        homogeneous (bool): Whether a multiple has that multiple.
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


#: A new solver is one row.
SOLVERS = {
    'CG': Row(CGSolver, indefinite=False),
    # It may get through an indefinite system, and may not.
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
    # The residual is a product of its own.
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
    """Views in :data:`SHAPES`."""
    parts = flat.split([math.prod(s) for s in SHAPES])
    return tuple(p.view(s) for p, s in zip(parts, SHAPES, strict=True))


def flatten(vectors: Vectors) -> Tensor:
    return torch.cat([v.flatten() for v in vectors])


def make_matrix(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """Symmetric, float64, of given eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(
        torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    )[0]
    return basis @ torch.diag(eigenvalues) @ basis.T


def block_diagonal() -> Tensor:
    """Positive definite, float64, one block a tensor."""
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
