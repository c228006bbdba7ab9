"""The loss of a model over the images of a dataloader."""

from collections.abc import Iterable
from typing import Any

import torch


@torch.no_grad()
def mean_loss(model: Any, loader: Iterable) -> float:
    """Mean over images, in evaluation mode: running statistics, no augmentation.

    Args:
        model (BaseModel): A classifier of mmpretrain; in evaluation mode afterwards.
        loader (Iterable): Batches whose samples have labels.

    Returns:
        float: In the unit of the model's loss.
    """
    model = getattr(model, 'module', model)
    model.eval()
    total, number = 0.0, 0
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        total += float(loss) * len(data['inputs'])
        number += len(data['inputs'])
    return total / number
