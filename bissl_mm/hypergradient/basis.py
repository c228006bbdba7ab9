"""Vectors that are worked on together: read as flat rows of one matrix.

A pass over a backbone's tensors costs more in calls than in arithmetic, and a
basis of k vectors would take k of them. Flat rows take one product of a
matrix and a vector.
"""

from typing import Optional

import torch
from torch import Tensor

from .vectors import Vectors

#: Values that are summed in their own precision; the sums of such stretches
#: are added in double. Ten million squares summed in single precision are off
#: by 1e-3, which no orthogonal basis survives.
_STRETCH = 2**17


def flatten(vectors: Vectors) -> Tensor:
    """All values in one row, shape ``(n, )``; a copy."""
    return torch.cat([v.detach().reshape(-1) for v in vectors])


def unflatten(row: Tensor, like: Vectors) -> Vectors:
    """Views of ``row`` in the shapes of ``like``."""
    parts = row.split([v.numel() for v in like])
    return tuple(p.view(v.shape) for p, v in zip(parts, like))


def row_dot(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of two rows, float64 and without dimensions."""
    return torch.stack([
        torch.dot(a, b) for a, b in zip(x.split(_STRETCH), y.split(_STRETCH))
    ]).double().sum()


def row_norm(x: Tensor) -> Tensor:
    """Euclidean norm of a row, float64 and without dimensions."""
    return row_dot(x, x).sqrt()


class Basis:
    """Rows of equal length that grow in number.

    Args:
        rows (Tensor, optional): The first ones, shape ``(k, n)``. Defaults to
            None: none yet.
    """

    def __init__(self, rows: Optional[Tensor] = None) -> None:
        self._storage = rows
        self._size = 0 if rows is None else len(rows)

    def __len__(self) -> int:
        return self._size

    @property
    def rows(self) -> Optional[Tensor]:
        """Shape ``(len(self), n)``, a view; None before the first row."""
        return None if self._storage is None else self._storage[:self._size]

    def to(self, device: torch.device) -> None:
        """Move the rows."""
        if self._storage is not None:
            self._storage = self._storage.to(device)

    def append(self, row: Tensor) -> None:
        """Copy a row of shape ``(n, )`` behind the others."""
        if self._storage is None or self._size == len(self._storage):
            # Half as much again: few rows are moved often, none stay unused
            # by the dozen.
            storage = row.new_empty(max(4, self._size * 3 // 2), len(row))
            if self._size:
                storage[:self._size] = self.rows
            self._storage = storage
        self._storage[self._size] = row
        self._size += 1

    def truncate(self, size: int) -> None:
        """Forget the rows from number ``size`` on."""
        if size < self._size:
            self._storage, self._size = self._storage[:size].clone(), size

    def dots(self, vector: Tensor) -> Tensor:
        """Inner product of every row with ``vector``, shape ``(k, )``,
        float64."""
        if not self._size:
            return vector.new_zeros(0, dtype=torch.float64)
        return torch.stack([
            torch.mv(rows, part)
            for rows, part in zip(self.rows.split(_STRETCH, dim=1),
                                  vector.split(_STRETCH))
        ]).double().sum(0)

    def combine(self, weights: Tensor) -> Tensor:
        """Sum of the first ``len(weights)`` rows, weighted; shape ``(n, )``.

        ``weights`` may be shorter than the basis, but not empty.
        """
        rows = self.rows[:len(weights)]
        return torch.mv(rows.T, weights.to(rows))

    def remove_(self, vector: Tensor, weights: Tensor) -> None:
        """Subtract the weighted sum of the rows from ``vector``, in place."""
        if self._size:
            vector.addmv_(self.rows.T, weights.to(vector), alpha=-1)
