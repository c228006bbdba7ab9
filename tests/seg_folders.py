"""Small drawn images with masks in folders, and a config that reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

PARTS = ('train', 'val', 'test')


def ids(part: str, i: int, classes: int = 3, size=(12, 8)) -> np.ndarray:
    """Stripes of all classes, ``(height, width)`` uint8.

    ``size`` is width and height.
    """
    columns = (np.arange(size[0]) + i) * classes // size[0] % classes
    return np.repeat(columns[None], size[1], 0).astype(np.uint8)


def save(pixels: Any, path: Path, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)


def write(
    root: Path,
    number: int = 3,
    mask: Callable | None = None,
    image: Callable | None = None,
    suffix: str = '.png',
) -> Config:
    """Write all splits and return their config.

    Args:
        root (Path): An empty folder.
        number (int): Images per split.
        mask (Callable, optional): Takes ids, split and number; returns the
            array or picture that is saved instead of the ids.
        image (Callable, optional): Takes path, split and number; saves the
            image.
        suffix (str): Suffix of the images.
    """
    rng = np.random.default_rng(0)
    for part in PARTS:
        for i in range(number):
            own = ids(part, i)
            save(mask(own, part, i) if mask else own, root / f'masks/{part}/{i:03}.png')
            path = root / f'images/{part}/{i:03}{suffix}'
            if image:
                path.parent.mkdir(parents=True, exist_ok=True)
                image(path, part, i)
            else:
                save(rng.integers(0, 255, (*own.shape, 3), np.uint8), path)
    return config(root, suffix)


def config(root: Path, suffix: str = '.png', classes=('a', 'b', 'c')) -> Config:
    """Loaders, a head and metrics of mmseg.

    The model has only the settings that the look over the data compares.
    """
    head = dict(
        type='FCNHead',
        num_classes=len(classes),
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    cfg = dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', size=(8, 8)),
            decode_head=head,
            test_cfg=dict(mode='whole'),
        ),
    )
    for part in PARTS:
        cfg[f'{part}_dataloader'] = dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=part == 'train'),
            dataset=dict(
                type='BaseSegDataset',
                data_root=str(root),
                data_prefix=dict(
                    img_path=f'images/{part}', seg_map_path=f'masks/{part}'
                ),
                img_suffix=suffix,
                metainfo=dict(classes=classes),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations'),
                    dict(type='PackSegInputs'),
                ],
            ),
        )
        if part != 'train':
            cfg[f'{part}_evaluator'] = dict(type='IoUMetric')
    return Config(cfg)
