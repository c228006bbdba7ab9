"""Randomness as a function of the position in training.

Every random draw of the package is made inside :func:`seeded`. Its seed is
formed from the run's seed and the place of the draw: level, alternation, step
and rank, or level, pass and sample. So a resumed run is exact without stored
generator states, with any number of dataloader workers.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def fold_seed(*parts: int | str) -> int:
    """A 63-bit seed formed from whole numbers and names."""
    text = '/'.join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, 'little') >> 1


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Context manager that seeds Python, NumPy and torch, then restores them.

    Args:
        seed (int): A seed of at most 63 bits.
        device (torch.device, optional): A CUDA device whose generator is
            seeded, too. Defaults to None: the CPU's generators only.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.random.get_rng_state()
    cuda = device if device is not None and device.type == 'cuda' else None
    cuda_state = None if cuda is None else torch.cuda.get_rng_state(cuda)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if cuda is not None:
        with torch.cuda.device(cuda):
            torch.cuda.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.random.set_rng_state(torch_state)
        if cuda is not None and cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, cuda)
