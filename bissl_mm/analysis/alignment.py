"""How near backbones are to what fine-tuning makes of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from ..utils.errors import ValueRefusal
from .features import (
    build_model,
    features_of_test_images,
    fit_statistics,
    load_backbone,
)


class Alignment(NamedTuple):
    """One arm, before and after fine-tuning.

    ``parameters`` and ``features`` have a cosine for each fine-tuned backbone.
    ``test`` are the features of the test images before fine-tuning, shape
    ``(N, C)``, and ``labels`` theirs, ``(N, )``, or None if images have no label
    of their own.
    """

    parameters: list[float]
    features: list[float]
    test: np.ndarray
    labels: np.ndarray | None


def alignment(
    cfg: Config, start: str, tuned: Sequence[str], num_batches: int = 100
) -> Alignment:
    """Compare a backbone with its fine-tuned counterparts.

    The running statistics of the first backbone are fitted to the training data of
    the task; those of the fine-tuned ones are theirs.

    Args:
        cfg (Config): Fine-tuning config with training and test data.
        start (str): Checkpoint of the backbone that fine-tuning began with.
        tuned (Sequence[str]): Checkpoints of the fine-tuned models.
        num_batches (int): Batches of 256 training images that pass the first
            backbone in training mode. Defaults to 100.

    Raises:
        ValueError: If a checkpoint does not fit, or a backbone is all zero.

    Source:
        (11) to (13), B.10.1, arXiv:2410.02387.
    """
    model = build_model(cfg)
    before = load_backbone(model, start)
    fit_statistics(model, cfg, num_batches)
    features, labels = features_of_test_images(model, cfg)
    parameters, cosines = [], []
    for path in tuned:
        parameters.append(parameter_cosine(before, load_backbone(model, path)))
        cosines.append(feature_cosine(features, features_of_test_images(model, cfg)[0]))
    return Alignment(parameters, cosines, features, labels)


def parameter_cosine(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The cosine of all parameters as one vector.

    Args:
        first (Sequence[Tensor]): Parameters of a backbone.
        second (Sequence[Tensor]): Those of another one, same shapes.

    Raises:
        ValueError: If one of them is all zero.

    Source:
        (11) and (12), arXiv:2410.02387.
    """
    a, b = (torch.cat([p.double().flatten() for p in each]) for each in (first, second))
    lengths = a.norm() * b.norm()
    if not lengths:
        raise ValueRefusal(
            'alignment: a backbone has only zeros as parameters, so there is no '
            'angle to it. Give another checkpoint.'
        )
    return (a @ b / lengths).item()


def feature_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Mean cosine of the features of the same images.

    An image whose features are all zero in one of the backbones counts as 0. Features
    that are no numbers give NaN.

    Args:
        first (ndarray): Shape ``(N, C)``.
        second (ndarray): Same shape.

    Source:
        (13), arXiv:2410.02387.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    return float(
        np.divide(
            products, lengths, out=np.zeros_like(lengths), where=lengths != 0
        ).mean()
    )


def effective_dimension(features: np.ndarray) -> float:
    r"""Participation ratio of the features, :math:`(\sum_i e_i)^2 / \sum_i e_i^2`,
    with :math:`e_i` the eigenvalues of their covariance.

    It is C if all directions vary alike, 1 if only one varies, and 0 if none does.
    The thesis (9.1) names an effective dimension and no formula.

    Args:
        features (ndarray): Shape ``(N, C)``.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    energies = np.linalg.svd(centred, compute_uv=False) ** 2
    total = (energies**2).sum()
    return float(energies.sum() ** 2 / total) if total else 0.0


def summary(found: Mapping[str, Alignment]) -> dict[str, dict[str, float]]:
    """Mean and deviation of the cosines and the effective dimension, by arm."""
    table = {}
    for name, arm in found.items():
        row = dict(effective_dimension=effective_dimension(arm.test))
        for kind in ('parameters', 'features'):
            values = getattr(arm, kind)
            if values:
                row[kind] = float(np.mean(values))
            if len(values) > 1:
                row[f'{kind}_std'] = float(np.std(values, ddof=1))
        table[name] = row
    return table
