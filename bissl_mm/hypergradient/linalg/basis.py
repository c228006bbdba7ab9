"""Vectors as flat rows of one matrix.

A pass over all tensors of a backbone spends more time on calls than on
arithmetic, and a basis of k vectors would need k passes. With flat rows it
needs one product of a matrix and a vector.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ...utils.compat import tf32
from .vectors import Vectors, agreed

#: This many values are summed in their own precision; the sums are added in
#: double precision. Ten million squares summed in single precision are off by
#: 1e-3, and no basis stays orthogonal with such an error.
_STRETCH = 2**17
#: The same on a GPU, where each stretch is summed by a few of its processors.
_GPU_STRETCH = 2**14


def flatten(vectors: Vectors, out: Tensor | None = None) -> Tensor:
    """All values in one row, shape ``(n, )``; a copy, in ``out`` if given."""
    return torch.cat([v.detach().reshape(-1) for v in vectors], out=out)


def unflatten(row: Tensor, like: Vectors) -> Vectors:
    """Views of ``row`` in the shapes of ``like``."""
    parts = row.split([v.numel() for v in like])
    return tuple(p.view(v.shape) for p, v in zip(parts, like, strict=True))


def row_dot(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of two rows, float64 and without dimensions."""
    if x.is_cuda:
        return agreed(_products(x[None], y)[0])
    return agreed(
        torch.stack(
            [
                torch.dot(a, b)
                for a, b in zip(x.split(_STRETCH), y.split(_STRETCH), strict=True)
            ]
        )
        .double()
        .sum()
    )


def _products(rows: Tensor, vector: Tensor) -> Tensor:
    """``rows @ vector`` in few kernels, float64.

    Every stretch of the vector would be a kernel of its own, or two. Here all
    are one batch of products.
    """
    number, size = rows.shape
    count = size // _GPU_STRETCH
    whole = count * _GPU_STRETCH
    stretches = rows[:, :whole].unflatten(1, (count, _GPU_STRETCH)).transpose(0, 1)
    with tf32(False):
        sums = stretches @ vector[:whole].view(count, _GPU_STRETCH, 1)
    rest = torch.mv(rows[:, whole:], vector[whole:])
    return torch.cat((sums.view(count, number), rest[None])).double().sum(0)


def on_host(*values: Tensor) -> list[Tensor]:
    """Small tensors of one device as flat ones on the host, float64.

    They are read in one transfer. Each transfer makes the host wait until the
    device has done all its work.
    """
    flat = torch.cat([v.double().reshape(-1) for v in values]).cpu()
    # Views would differ in alignment, and products of them in their last bits.
    return [part.clone() for part in flat.split([v.numel() for v in values])]


def row_norm(x: Tensor) -> Tensor:
    """Euclidean norm of a row, float64 and without dimensions."""
    return row_dot(x, x).sqrt()


class Basis:
    """Rows of equal length that grow in number and are never moved.

    They lie in blocks of a few rows. A block is kept for later rows, because
    fresh memory takes longer than the arithmetic.

    Args:
        rows (Tensor, optional): The first rows, shape ``(k, n)``; copied.
            Defaults to None: no row yet.
    """

    _BLOCK = 4

    def __init__(self, rows: Tensor | None = None) -> None:
        self._blocks: list[Tensor] = []
        self._size = 0
        for row in () if rows is None else rows:
            self.append(row)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Tensor]:
        """The rows, not copies."""
        return (row for block in self._filled() for row in block)

    @property
    def rows(self) -> Tensor | None:
        """Shape ``(len(self), n)``, a copy on the host, where checkpoints go: a
        device may have no room for a second basis. None without rows."""
        if not self._size:
            return None
        copy = self._blocks[0].new_empty(
            self._size, self._blocks[0].shape[1], device='cpu'
        )
        for part, rows in zip(copy.split(self._BLOCK), self._filled(), strict=True):
            part.copy_(rows)
        return copy

    @property
    def last(self) -> Tensor:
        """The newest row, shape ``(n, )``, not a copy."""
        block, row = divmod(self._size - 1, self._BLOCK)
        return self._blocks[block][row]

    def to(self, device: torch.device) -> None:
        """Move the rows, for example those of a checkpoint."""
        self._blocks = [block.to(device) for block in self._blocks]

    def spare(self, like: Tensor) -> Tensor:
        """The unused row after the last, to write to before :meth:`append`.

        It has shape ``(n, )``, type and device of ``like``.
        """
        block, place = divmod(self._size, self._BLOCK)
        if not self._size and self._blocks and not _alike(self._blocks[0][0], like):
            self._blocks = []
        if block == len(self._blocks):
            self._blocks.append(like.new_empty(self._BLOCK, len(like)))
        return self._blocks[block][place]

    def append(self, row: Tensor) -> None:
        """Append a row of shape ``(n, )``. :meth:`spare` is taken as it is,
        any other row is copied."""
        spare = self.spare(row)
        if row.data_ptr() != spare.data_ptr():
            spare.copy_(row)
        self._size += 1

    def truncate(self, size: int) -> None:
        """Drop the rows from number ``size`` on. One block of their memory is
        kept."""
        if size < self._size:
            self._size = size
            del self._blocks[-(-size // self._BLOCK) + 1 :]

    def clear(self) -> None:
        """Forget all rows, but keep their memory."""
        self._size = 0

    def dots(self, vector: Tensor) -> Tensor:
        """Inner product of every row with ``vector``, shape ``(k, )``,
        float64."""
        if not self._size:
            return vector.new_zeros(0, dtype=torch.float64)
        if vector.is_cuda:
            return agreed(torch.cat([_products(b, vector) for b in self._filled()]))
        parts = vector.split(_STRETCH)
        return agreed(
            torch.cat(
                [
                    torch.stack(
                        [
                            torch.mv(rows, part)
                            for rows, part in zip(
                                block.split(_STRETCH, dim=1), parts, strict=True
                            )
                        ]
                    )
                    .double()
                    .sum(0)
                    for block in self._filled()
                ]
            )
        )

    def add_to_(self, vector: Tensor, weights: Tensor) -> Tensor:
        """Add the sum of the rows, weighted by ``weights`` of shape
        ``(k, )``, to ``vector``, in place; it is returned."""
        # A copy of a few numbers to the device need not wait for it.
        weights = weights.to(vector.dtype).to(vector.device, non_blocking=True)
        # Of no weights, split makes one part that is empty.
        parts = weights.split(self._BLOCK)
        for block, part in zip(self._filled(), parts, strict=False):
            vector.addmv_(block.T, part)
        return vector

    def _filled(self) -> Iterator[Tensor]:
        for i, block in enumerate(self._blocks):
            size = min(self._size - i * self._BLOCK, self._BLOCK)
            if size > 0:
                yield block[:size]


def _alike(x: Tensor, y: Tensor) -> bool:
    return (x.shape, x.dtype, x.device) == (y.shape, y.dtype, y.device)
