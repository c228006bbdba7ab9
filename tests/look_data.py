"""Small folders of images, and a classification config with which to check them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from bissl_mm.datasets.look import Look, look_over

KINDS = ('ant', 'bee', 'cow')
LOAD = dict(type='LoadImageFromFile')
PIPELINE = [LOAD, dict(type='CenterCrop', crop_size=16), dict(type='PackInputs')]


def noise(rng: np.random.Generator, width: int = 24, height: int = 20) -> np.ndarray:
    """A picture that differs from all others, ``(height, width, 3)`` uint8."""
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def write_parts(
    root: Path,
    parts: Iterable[str] = ('train', 'val'),
    kinds: Iterable[str] = KINDS,
    number: int = 2,
) -> None:
    """``<part>/<kind>/<i>.png`` below ``root``."""
    for part in parts:
        for kind in kinds:
            rng = np.random.default_rng([*part.encode(), *str(kind).encode()])
            (root / part / kind).mkdir(parents=True)
            for i in range(number):
                Image.fromarray(noise(rng)).save(root / part / kind / f'{i}.png')


def loader(root: Path, part: str, **dataset) -> dict:
    """A dataloader of mmpretrain's ``CustomDataset``."""
    return dict(
        batch_size=2,
        collate_fn=dict(type='default_collate'),
        dataset=dict(
            dict(
                type='CustomDataset',
                data_root=str(root),
                data_prefix=part,
                pipeline=PIPELINE,
            ),
            **dataset,
        ),
    )


def config(
    root: Path, parts: Iterable[str] = ('train', 'val'), classes: int = 3, **dataset
) -> Config:
    """A fine-tuning config; ``dataset`` changes the datasets of all splits."""
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', head=dict(num_classes=classes)),
            **{f'{part}_dataloader': loader(root, part, **dataset) for part in parts},
        )
    )


def look_at(cfg: Config, **kwargs) -> Look:
    """The look over a config's data."""
    return look_over(cfg, **kwargs)


def the_only(lines: list) -> str:
    """The only line of a list."""
    (line,) = lines
    return line
