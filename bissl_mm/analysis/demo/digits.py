"""The demo's data: scikit-learn's scanned handwritten digits."""

import os.path as osp
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

#: Pictures of each digit in every split; the rest is used without labels.
PER_CLASS = dict(train=5, val=15, test=60)
SIZE = 32


class Digit(NamedTuple):
    """A digit: number in scikit-learn's set, scan ``(8, 8)`` uint8, label."""

    index: int
    scan: np.ndarray
    label: int


def split_digits(per_class: dict[str, int], seed: int = 0) -> dict[str, list[Digit]]:
    """Divide the 1797 digits into splits, by a fixed seed.

    Args:
        per_class (dict[str, int]): Pictures of each digit in every split.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        dict[str, list[Digit]]: The splits. The rest is ``'pretext'``.
    """
    digits: Any = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    names = [*per_class, 'pretext']
    parts = {name: [] for name in names}
    taken = dict.fromkeys(range(10), 0)
    borders = np.cumsum(list(per_class.values()))
    for index in order:
        label = int(digits.target[index])
        place = int(np.searchsorted(borders, taken[label], side='right'))
        taken[label] += 1
        scan = (digits.images[index] * 255 / 16).astype(np.uint8)
        parts[names[place]].append(Digit(int(index), scan, label))
    return parts


def enlarge(scan: np.ndarray, size: int) -> np.ndarray:
    """A scan as a ``(size, size)`` uint8 picture."""
    return np.asarray(
        Image.fromarray(scan).resize((size, size), Image.Resampling.BICUBIC)
    )


def write_digits(root: str, seed: int = 0) -> dict[str, int]:
    """Write the digits as image folders of 32 x 32 grey PNG files.

    ``downstream/{train,val,test}/<digit>`` have 5, 15 and 60 pictures of each
    digit. ``pretext`` has all others, without labels.

    Args:
        root (str): Folder. Nothing is written if it is complete already.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        dict[str, int]: Number of pictures in each split.
    """
    parts = split_digits(PER_CLASS, seed)
    done = Path(root) / 'complete'
    if not done.exists():
        for part, members in parts.items():
            for index, scan, label in members:
                folder = (
                    osp.join(root, 'pretext')
                    if part == 'pretext'
                    else osp.join(root, 'downstream', part, str(label))
                )
                Path(folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(enlarge(scan, SIZE)).save(
                    osp.join(folder, f'{index:04}.png')
                )
        done.touch()
    return {part: len(members) for part, members in parts.items()}
