"""Crops of photographs that come with scikit-image and scikit-learn.

The task is to say from which of ten photographs a crop was cut. Each photograph
is cut into cells. Every cell belongs to one split, so no pixel is in two splits.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.errors import FileNotFoundRefusal

_SKIMAGE, _SKLEARN = ('skimage', 'data'), ('sklearn', 'datasets/images')
#: Package, folder and file of each photograph. All of them are in the packages'
#: wheels; nothing is downloaded.
PHOTOGRAPHS = {
    'astronaut': (*_SKIMAGE, 'astronaut.png'),
    'cat': (*_SKIMAGE, 'chelsea.png'),
    'coffee': (*_SKIMAGE, 'coffee.png'),
    'flower': (*_SKLEARN, 'flower.jpg'),
    'galaxies': (*_SKIMAGE, 'hubble_deep_field.jpg'),
    'motorcycle': (*_SKIMAGE, 'motorcycle_left.png'),
    'palace': (*_SKLEARN, 'china.jpg'),
    'retina': (*_SKIMAGE, 'retina.jpg'),
    'rocket': (*_SKIMAGE, 'rocket.jpg'),
    'tissue': (*_SKIMAGE, 'ihc.png'),
}
INSTALL = dict(skimage='scikit-image', sklearn='scikit-learn')
#: Edges of a cell and of a crop, and the step between crops, in pixels.
CELL, CROP, STRIDE = 64, 32, 16
#: Share of the cells in each split.
SHARES = dict(pretext=0.4, val=0.15, test=0.45)
#: Crops of each photograph. The training crops come from the cells of the
#: unlabeled crops.
PER_CLASS = dict(pretext=270, train=5, val=15, test=110)
#: A crop whose grey values have a smaller deviation is plain background.
LEAST_STD = 2.0


def photograph(name: str) -> np.ndarray:
    """A photograph, ``(H, W, 3)`` uint8.

    Raises:
        FileNotFoundError: If its package is not installed, or lacks the file.
    """
    package, folder, file = PHOTOGRAPHS[name]
    spec = find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root, folder, file)
        if path.is_file():
            return np.asarray(Image.open(path).convert('RGB'))
    raise FileNotFoundRefusal(
        f"The photograph '{name}' ({file}) comes with {INSTALL[package]}, "
        f'which {"lacks it" if spec else "is not installed"}. Type pip '
        f'install {INSTALL[package]}, or name folders of your own: '
        'BISSL_PRETEXT_DIR and BISSL_DOWNSTREAM_DIR.'
    )


def split_crops(
    picture: np.ndarray, rng: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Crops of a photograph for each split.

    Args:
        picture (ndarray): ``(H, W, 3)`` uint8.
        rng (Generator): Assigns the cells to splits and chooses the crops.

    Returns:
        dict[str, list[ndarray]]: Crops, ``(32, 32, 3)`` each. Those of
        ``'train'`` come from the cells of ``'pretext'``.
    """
    rows, columns = (size // CELL for size in picture.shape[:2])
    cells = [
        (row * CELL, column * CELL) for row in range(rows) for column in range(columns)
    ]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    borders = np.round(np.cumsum([0, *SHARES.values()]) * len(cells))
    parts = {}
    for part, begin, end in zip(SHARES, borders[:-1], borders[1:], strict=True):
        crops = [
            crop
            for cell in cells[int(begin) : int(end)]
            for crop in _crops(picture, *cell)
        ]
        parts[part] = [crops[i] for i in rng.permutation(len(crops))]
    parts['train'] = parts['pretext']
    return {part: parts[part][:number] for part, number in PER_CLASS.items()}


def _crops(picture: np.ndarray, y: int, x: int) -> list[np.ndarray]:
    """The crops of the cell at (y, x) that show more than background."""
    offsets = range(0, CELL - CROP + 1, STRIDE)
    found = [
        picture[y + dy : y + dy + CROP, x + dx : x + dx + CROP]
        for dy in offsets
        for dx in offsets
    ]
    return [crop for crop in found if crop.mean(2).std() >= LEAST_STD]


def write_crops(root: str, seed: int = 0) -> dict[str, int]:
    """Write the crops as folders of 32 x 32 PNG files.

    Args:
        root (str): Folder for ``pretext`` and
            ``downstream/{train,val,test}/<name>``. Nothing is written if it is
            complete already.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        dict[str, int]: Number of crops in each split.

    Raises:
        FileNotFoundError: If a photograph is not installed.
    """
    counts = dict.fromkeys(PER_CLASS, 0)
    done = Path(root) / 'complete'
    rng = np.random.default_rng(seed)
    for name in PHOTOGRAPHS:
        for part, crops in split_crops(photograph(name), rng).items():
            counts[part] += len(crops)
            if done.exists():
                continue
            folder = (
                Path(root, 'pretext')
                if part == 'pretext'
                else Path(root, 'downstream', part, name)
            )
            folder.mkdir(parents=True, exist_ok=True)
            for i, crop in enumerate(crops):
                Image.fromarray(crop).save(folder / f'{name}-{i:04}.png')
    done.touch()
    return counts
