"""The demo's data: scikit-learn's scanned handwritten digits."""

import os.path as osp
from pathlib import Path
from typing import Dict

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

#: Pictures of each digit in every part; what is left has no labels.
PER_CLASS = dict(train=5, val=15, test=60)
SIZE = 32


def write_digits(root: str, seed: int = 0) -> Dict[str, int]:
    """Write the 1797 digits as image folders, split once by a fixed seed.

    ``downstream/{train,val,test}/<digit>`` hold 5, 15 and 60 pictures of
    each digit, ``pretext`` all others without labels. The 8 x 8 scans are
    enlarged to 32 x 32 grey PNG files.

    Args:
        root (str): Folder; nothing is written if it is complete already.
        seed (int): Seed of the split. Defaults to 0.

    Returns:
        dict[str, int]: Number of pictures by part.
    """
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    parts = {}
    taken = {label: 0 for label in range(10)}
    borders = np.cumsum(list(PER_CLASS.values()))
    for index in order:
        label = int(digits.target[index])
        place = int(np.searchsorted(borders, taken[label], side='right'))
        part = [*PER_CLASS, 'pretext'][place]
        taken[label] += 1
        parts.setdefault(part, []).append((int(index), label))
    done = Path(root) / 'complete'
    if not done.exists():
        for part, members in parts.items():
            for index, label in members:
                folder = osp.join(root, 'pretext') if part == 'pretext' \
                    else osp.join(root, 'downstream', part, str(label))
                Path(folder).mkdir(parents=True, exist_ok=True)
                scan = Image.fromarray(
                    (digits.images[index] * 255 / 16).astype(np.uint8))
                scan.resize((SIZE, SIZE), Image.BICUBIC).save(
                    osp.join(folder, f'{index:04}.png'))
        done.touch()
    return {part: len(members) for part, members in parts.items()}
