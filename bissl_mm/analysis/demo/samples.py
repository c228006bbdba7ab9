"""Shows some pictures of each level as training sees them."""

import numpy as np
import torch
from mmengine.registry import MODELS

from ...datasets import LevelStream
from .configs import DemoConfigs

VIEWS = ('first view', 'second view')


def samples(configs: DemoConfigs, number: int = 12) -> dict[str, list[np.ndarray]]:
    """Two views of unlabeled pictures, and labeled pictures.

    Args:
        configs (DemoConfigs): The configs of the demo.
        number (int): Pictures per row. Defaults to 12.

    Returns:
        dict[str, list[ndarray]]: ``(H, W)`` or, in colour, ``(H, W, 3)``
        uint8, by the name of the row.
    """
    cfg = configs.read('bissl')
    unlabeled = _first(cfg.train_cfg.pretext_dataloader, number)
    views = _views(cfg.model.pretext.data_preprocessor, unlabeled)
    rows = {
        name: [_picture(view) for view in row]
        for name, row in zip(VIEWS, views, strict=True)
    }
    rows['labeled'] = [
        _picture(sample['inputs']) for sample in _first(cfg.train_dataloader, number)
    ]
    return rows


def _first(loader: dict, number: int) -> list[dict]:
    stream = LevelStream({**loader, 'batch_size': 1}, 'lower')
    stream.start(0)
    number = min(number, len(stream.samples))
    return [stream.samples[stream.sampler.keys(i)[0]] for i in range(number)]


def _views(preprocessor: dict, unlabeled: list[dict]) -> list[list]:
    """Views from the pipeline, or from a preprocessor of whole batches."""
    if isinstance(unlabeled[0]['inputs'], (list, tuple)):
        return [
            [sample['inputs'][i] for sample in unlabeled] for i in range(len(VIEWS))
        ]
    # Without normalisation, and with the channels in the order of the files.
    plain = MODELS.build(
        dict(preprocessor, mean=[0.0] * 3, std=[1.0] * 3, to_rgb=False)
    )
    batch = torch.stack([sample['inputs'] for sample in unlabeled])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [list(view) for view in plain(dict(inputs=batch), True)['inputs']]


def _picture(channels: torch.Tensor) -> np.ndarray:
    """A picture from B, G and R of shape (3, H, W); grey if they are equal."""
    found = channels.round().clamp(0, 255).byte().numpy()
    if (found == found[:1]).all():
        return found[0]
    return found[::-1].transpose(1, 2, 0)
