"""Data of the dense demos: scenes that are composed of handwritten digits."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.files import atomic_file
from .digits import SIZE, Digit, enlarge, split_digits

#: Number of digits of each class from which a split's scenes are composed.
PER_CLASS = dict(train=20, val=20, test=40)
NUM_SCENES = dict(train=60, val=40, test=100)
SCENE = 96
#: A darker pixel does not belong to a digit.
INK = 70


def write_scenes(root: str, seed: int = 0) -> dict[str, int]:
    """Write scenes of two to five digits with their true boxes and masks.

    ``scenes/{train,val,test}`` have 96 x 96 grey PNG files. ``masks/`` has
    their masks: 0 is the background, and the other ids are 1 + digit.
    ``boxes_<split>.json`` has the boxes in COCO's format. ``pretext`` has single
    digits without labels. No digit is in two splits.

    Args:
        root (str): Folder. Nothing is written if it is complete already.
        seed (int): Seed of splits and scenes. Defaults to 0.

    Returns:
        dict[str, int]: Number of pictures in each split.
    """
    parts = split_digits(PER_CLASS, seed)
    counts = dict(pretext=len(parts['pretext']), **NUM_SCENES)
    done = Path(root) / 'complete'
    if done.exists():
        return counts
    rng = np.random.default_rng(seed)
    (Path(root) / 'pretext').mkdir(parents=True, exist_ok=True)
    for index, scan, _ in parts['pretext']:
        Image.fromarray(enlarge(scan, SIZE)).save(
            Path(root) / 'pretext' / f'{index:04}.png'
        )
    for part, number in NUM_SCENES.items():
        _write_part(Path(root), part, number, parts[part], rng)
    done.touch()
    return counts


def compose(
    digits: list[Digit], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list]:
    """A scene of digits on a cloudy background.

    Args:
        digits (list[Digit]): Digits to choose from.
        rng (Generator): Generator for all choices.

    Returns:
        tuple: The picture and the mask, ``(96, 96)`` uint8, and a list of
        ``(label, [x, y, w, h])``, pixels.
    """
    clouds = rng.integers(0, 110, (6, 6)).astype(np.uint8)
    picture = enlarge(clouds, SCENE).astype(np.int64)
    mask = np.zeros((SCENE, SCENE), np.uint8)
    boxes = []
    for _ in range(rng.integers(2, 6)):
        _, scan, label = digits[rng.integers(len(digits))]
        size = int(rng.integers(24, 41))
        ink = enlarge(scan, size).astype(np.int64)
        for _ in range(20):
            x, y = rng.integers(0, SCENE - size + 1, 2)
            here = np.s_[y : y + size, x : x + size]
            if not mask[here].any():
                break
        else:
            continue
        picture[here] = np.maximum(picture[here], ink)
        mask[here][ink > INK] = label + 1
        rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
        boxes.append(
            (
                label,
                [
                    int(x + columns[0]),
                    int(y + rows[0]),
                    int(columns[-1] - columns[0] + 1),
                    int(rows[-1] - rows[0] + 1),
                ],
            )
        )
    picture = picture + rng.normal(0, 8, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), mask, boxes


def _write_part(
    root: Path, part: str, number: int, digits: list[Digit], rng: np.random.Generator
) -> None:
    for kind in ('scenes', 'masks'):
        (root / kind / part).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for i in range(number):
        picture, mask, boxes = compose(digits, rng)
        name = f'{i:04}.png'
        Image.fromarray(picture).save(root / 'scenes' / part / name)
        Image.fromarray(mask).save(root / 'masks' / part / name)
        images.append(dict(id=i, file_name=name, height=SCENE, width=SCENE))
        for label, box in boxes:
            # Ids start at 1: pycocotools counts a match with id 0 as no match.
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=label,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
            )
    categories = [dict(id=label, name=str(label)) for label in range(10)]
    with atomic_file(root / f'boxes_{part}.json') as file:
        json.dump(
            dict(images=images, annotations=annotations, categories=categories), file
        )
