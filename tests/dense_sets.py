"""Small sets with boxes and masks in the layouts of publishers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from layout_parts import picture
from PIL import Image

PARTS = dict(train=6, val=3, test=3)
#: Landscape, portrait, square; one grey.
SIZES = ((40, 30), (30, 44), (36, 36))


def coco(
    root: Path,
    files: dict[str, str],
    folders: dict[str, str],
    ids: Sequence[int] = (3, 7),
    unused: str = '',
    parts: dict[str, int] = PARTS,
) -> Path:
    """Write boxes of two classes.

    Args:
        root (Path): Folder in which the set is written.
        files (dict[str, str]): Annotation file of each split.
        folders (dict[str, str]): Folder of each split's images.
        ids (Sequence[int]): Ids of the categories.
        unused (str): Name of a super-category 0 without boxes.
        parts (dict[str, int]): Number of images in each split.
    """
    categories = [
        dict(id=i, name=name, supercategory='cell')
        for i, name in zip(ids, ('round', 'long'))
    ]
    if unused:
        categories.insert(0, dict(id=0, name=unused, supercategory='none'))
    for part, file in files.items():
        rng = np.random.default_rng([*part.encode()])
        images, boxes = [], []
        for i in range(parts[part]):
            size, name = SIZES[i % 3], f'{i:03}.jpg'
            path = root / folders[part] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(rng, size, ('RGB', 'L')[i == 1]).save(path)
            images.append(
                dict(id=10 + i, file_name=name, width=size[0], height=size[1])
            )
            for k, category in enumerate(ids):
                boxes.append(
                    dict(
                        id=len(boxes) + 1,
                        image_id=10 + i,
                        iscrowd=0,
                        category_id=category,
                        bbox=[2 + 14 * k, 4, 12, 18],
                        area=216,
                        segmentation=[],
                    )
                )
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(dict(images=images, annotations=boxes, categories=categories))
        )
    return root


def masks(
    root: Path,
    images: str = 'img_dir/{}',
    labels: str = 'ann_dir/{}',
    parts: dict[str, int] = PARTS,
    suffix: str = '.jpg',
    mask_suffix: str = '.png',
) -> Path:
    """Write masks with the classes 0 and 1, and 255."""
    for part, number in parts.items():
        rng = np.random.default_rng([*part.encode()])
        for folder in (images, labels):
            (root / folder.format(part)).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            size, stem = SIZES[i % 3], f'{part}{i}'
            picture(rng, size, ('RGB', 'L')[i == 1]).save(
                root / images.format(part) / f'{stem}{suffix}'
            )
            ids = np.repeat([[0, 1, 255]], 3, 0).astype(np.uint8)
            Image.fromarray(ids).resize(size, Image.NEAREST).save(
                root / labels.format(part) / f'{stem}{mask_suffix}'
            )
    return root
