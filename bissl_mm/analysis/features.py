"""Backbone features before and after the bilevel stage."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from sklearn.manifold import TSNE

from ..engine.hooks.transfer_hook import neighbours_accuracy


@torch.no_grad()
def backbone_features(
    cfg: Config, checkpoint: str, num_batches: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Test features of a backbone, after its statistics are fitted to the task.

    Args:
        cfg (Config): Fine-tuning config with training and test data.
        checkpoint (str): Exported or pretrained backbone.
        num_batches (int): Number of training batches that first pass through
            the backbone in train mode. Its running statistics are then those
            of the downstream data. Defaults to 100.

    Returns:
        tuple[ndarray, ndarray]: Features ``(N, C)`` and labels ``(N, )``.

    Source:
        B.10.1 and B.10.2, arXiv:2410.02387.
    """
    init_default_scope(cfg.default_scope)
    model_cfg = Config(dict(model=cfg.model)).model.copy()
    model_cfg.backbone = dict(
        model_cfg.backbone,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
    )
    model = MODELS.build(model_cfg)
    model.init_weights()
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    model.train()
    done = 0
    while done < num_batches:
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            model.backbone(data['inputs'])
            done += 1
            if done == num_batches:
                break
    model.eval()
    features, labels = [], []
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        data = model.data_preprocessor(batch, False)
        features.append(model.extract_feat(data['inputs'])[-1])
        labels += [int(s.gt_label) for s in data['data_samples']]
    return torch.cat(features).numpy(), np.array(labels)


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
