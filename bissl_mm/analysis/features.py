"""Backbone features before and after the bilevel stage."""

from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from sklearn.manifold import TSNE
from torch import Tensor

from ..engine.hooks.transfer_hook import neighbours_accuracy, pooled
from ..models.weights.pretrained import load_pretrained
from ..utils.errors import ValueRefusal

#: Batch size with which statistics are fitted (B.10.1).
BATCH_SIZE = 256


def backbone_features(
    cfg: Config, checkpoint: str, num_batches: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Test features of a backbone, after its statistics are fitted to the task.

    Args:
        cfg (Config): Fine-tuning config with training and test data.
        checkpoint (str): Exported or pretrained backbone.
        num_batches (int): See :func:`fit_statistics`. Defaults to 100.

    Returns:
        tuple[ndarray, ndarray]: Features ``(N, C)`` and labels ``(N, )``.

    Raises:
        ValueError: If the checkpoint does not fit, or an image has not one label.

    Source:
        B.10.1 and B.10.2, arXiv:2410.02387.
    """
    model = build_model(cfg)
    load_backbone(model, checkpoint)
    fit_statistics(model, cfg, num_batches)
    features, labels = features_of_test_images(model, cfg)
    if labels is None:
        raise ValueRefusal(
            'backbone_features: the test images do not have one label each, so they '
            'cannot be shown by class. Use tools/alignment.py.'
        )
    return features, labels


def build_model(cfg: Config) -> BaseModel:
    """The model of a fine-tuning config, without its checkpoint, on the GPU if there
    is one."""
    init_default_scope(cfg.default_scope)
    return MODELS.build(Config(dict(model=cfg.model)).model).to(get_device())


def load_backbone(model: BaseModel, path: str) -> list[Tensor]:
    """Load a backbone.

    Args:
        model (BaseModel): Changed.
        path (str): Exported, pretrained or fine-tuned.

    Returns:
        list[Tensor]: Copies of the backbone's parameters.

    Raises:
        ValueError: If the checkpoint does not fit.
    """
    names = [name for name in model.state_dict() if name.startswith('backbone.')]
    load_pretrained(model, path, required=names)
    backbone = model.get_submodule('backbone')
    return [p.detach().clone() for p in backbone.parameters()]


@torch.no_grad()
def fit_statistics(model: BaseModel, cfg: Config, num_batches: int) -> None:
    """Pass training images through the backbone in training mode. Its running
    statistics are then those of the downstream data.

    Args:
        model (BaseModel): Changed.
        cfg (Config): With ``train_dataloader``.
        num_batches (int): Batches of 256 images, in several passes if need be.

    Source:
        B.10.1, arXiv:2410.02387.
    """
    loader_cfg = dict(cfg.train_dataloader, batch_size=BATCH_SIZE, drop_last=False)
    for key in ('total_batch_size', 'num_batch_per_epoch'):
        # Of training, whose batches are others.
        loader_cfg.pop(key, None)
    loader = Runner.build_dataloader(loader_cfg, seed=0)
    model.train()
    done = 0
    while done < num_batches:
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            _features(model, data['inputs'])
            done += 1
            if done == num_batches:
                break


@torch.no_grad()
def features_of_test_images(
    model: BaseModel, cfg: Config
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pooled features ``(N, C)`` of the test images, and their labels ``(N, )`` if
    each has one.

    Args:
        model (BaseModel): In evaluation mode afterwards.
        cfg (Config): With ``test_dataloader``.
    """
    model.eval()
    features: list[Tensor] = []
    labels: list[Any] = []
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        data = model.data_preprocessor(batch, False)
        features += _features(model, data['inputs'])
        labels += [getattr(s, 'gt_label', None) for s in data['data_samples'] or ()]
    single = labels and all(x is not None and x.numel() == 1 for x in labels)
    return (
        torch.stack(features).cpu().numpy(),
        np.array([int(x) for x in labels]) if single else None,
    )


def _features(model: BaseModel, inputs: Any) -> Tensor:
    if not isinstance(inputs, Tensor):
        # Images of different sizes.
        return torch.cat([_features(model, image[None]) for image in inputs])
    return pooled(model.get_submodule('backbone')(inputs))


def embed(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE of features ``(N, C)`` in the plane, ``(N, 2)``."""
    # The default of 30 neighbours is too large for the smallest sets.
    perplexity = min(30.0, (len(features) - 1) / 2)
    # sklearn divides the first principal components by their deviation. If a
    # backbone has collapsed, that is 0, and sklearn ends the process.
    spread = np.ptp(features, axis=0).max()
    collapsed = spread <= 1e-5 * np.abs(features).max()
    return TSNE(
        init='random' if collapsed else 'pca', perplexity=perplexity, random_state=seed
    ).fit_transform(features)


def nearest_neighbour_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Percentage of samples whose nearest other sample has the same label.

    The report shows it beside the t-SNE picture, which measures nothing.
    """
    return neighbours_accuracy(
        torch.as_tensor(features), torch.as_tensor(labels).long(), number=1
    )
