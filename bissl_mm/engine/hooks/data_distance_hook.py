"""Tell how far the images of the two levels are from each other."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...models.bissl_model import unwrap
from ...models.losses.functional import substituted
from ...registry import HOOKS
from ...utils.check import check_keys, check_positive_int
from ...utils.errors import ValueRefusal
from .transfer_hook import batch_statistics, pooled

#: Name of the scalar in the message hub and the log.
NAME = 'data/distance'
#: Images of each level in a batch.
SHARE = 50


@HOOKS.register_module()
@check_keys
class DataDistanceHook(Hook):
    r"""Distance of the pretext images from the downstream training images.

    The gain of the stage is expected where the two differ (D and C.5 of the
    source). Before the first alternation, evenly chosen images of both pass
    the pretrained backbone, prepared as for validation, without augmentation.
    Batch norms take the statistics of batches that hold as many images of
    either kind. The distance of the features is that of
    :func:`energy_coefficient`. It is logged, and :class:`SolverMonitorHook`
    repeats it at the end. Nothing is trained or changed.

    With several processes, only the first one does this. Where the data do not
    name image files, or a validation image cannot be prepared without its
    annotations (detection, segmentation), a line says so.

    Args:
        max_images (int): Largest number of images of each level. Time and
            memory of the distances grow with its square. Defaults to 500.

    Source:
        Sections D and C.5, arXiv:2410.02387, which name no measure.
    """

    priority = 'LOW'

    def __init__(self, max_images: int = 500) -> None:
        check_positive_int('DataDistanceHook', 'max_images', max_images)
        self.max_images = max_images

    def before_train(self, runner: Runner) -> None:
        """Measure with the pretrained backbone, unless the run is resumed."""
        # OpenMMLab calls loops by their base class.
        loop: Any = runner.train_loop
        if loop.iter or runner.val_loop is None or get_rank():
            return
        if runner._resume and NAME in runner.message_hub.runtime_info:
            # It stopped within its first alternation.
            return
        prepare = _pipeline(runner.val_loop.dataloader.dataset)
        sets = [loop.streams[level].dataset for level in ('lower', 'upper')]
        number = min(self.max_images, *map(len, sets))
        images = [_images(dataset, prepare, number) for dataset in sets]
        if not all(images):
            runner.logger.info(
                'The distance of the data sets is not measured: it needs image '
                'files of both levels that the validation pipeline can prepare '
                'without annotations.'
            )
            return
        model = unwrap(runner.model)
        with substituted(model.downstream, model.upper_state_at_lower()):
            features = features_of_both(model.downstream, *images)
        value = energy_coefficient(*features)
        runner.message_hub.update_info(NAME, value)
        runner.visualizer.add_scalar(NAME, value, step=0)
        runner.logger.info(
            f'Distance of the data sets: {value:.3g}, from {number} images of each '
            "level by the pretrained backbone's features (0: the same "
            'distribution, 1: the largest).'
        )


@torch.no_grad()
def features_of_both(
    model: Any, first: list[Tensor], second: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Features of two sets of images, by batches that hold both in equal parts.

    With batches of one set alone, batch norms would hide that means differ.

    Args:
        model (nn.Module): With ``data_preprocessor`` and ``backbone``. Running
            statistics of norms move.
        first (list[Tensor]): N images (C, H, W).
        second (list[Tensor]): As many others.

    Returns:
        tuple[Tensor, Tensor]: Features (N, D) of either set, on the CPU.
    """
    both: tuple[list[Tensor], list[Tensor]] = ([], [])
    with batch_statistics(model):
        for i in range(0, len(first), SHARE):
            parts = first[i : i + SHARE], second[i : i + SHARE]
            data = dict(inputs=[*parts[0], *parts[1]], data_samples=None)
            inputs = model.data_preprocessor(data, False)['inputs']
            found = pooled(model.backbone(inputs)).cpu()
            for kept, part in zip(both, found.chunk(2), strict=True):
                kept.append(part)
    return torch.cat(both[0]), torch.cat(both[1])


def energy_coefficient(x: Tensor, y: Tensor) -> float:
    r"""How far two distributions are from each other, from samples of both.

    .. math:: H = 1 - \frac{E|X - X'| + E|Y - Y'|}{2 E|X - Y|}

    with Euclidean distances. H is 0 if and only if the distributions are the
    same, and at most 1. It does not depend on the unit. Means over pairs of
    different samples estimate it without bias of numerator and denominator, so
    it may be a little below 0.

    Args:
        x (Tensor): Shape (N, D), N at least 2.
        y (Tensor): Shape (M, D), M at least 2.

    Raises:
        ValueError: If a sample has less than two points.

    Source:
        Székely & Rizzo 2013, Energy statistics, the coefficient of
        inhomogeneity.
    """
    if min(len(x), len(y)) < 2:
        raise ValueRefusal(
            f'energy_coefficient: samples of {len(x)} and {len(y)} points, but each '
            'needs at least 2. Give more images.'
        )
    x, y = x.double(), y.double()
    across = torch.cdist(x, y).mean().item()
    within = sum(torch.pdist(z).mean().item() for z in (x, y))
    return 1 - within / (2 * across) if across else 0.0


def _pipeline(dataset: Any) -> Any:
    """The transforms of a dataset, also within one that keeps its samples."""
    while getattr(dataset, 'dataset', None) is not None:
        dataset = dataset.dataset
    return getattr(dataset, 'pipeline', None)


def _images(dataset: Any, prepare: Any, number: int) -> list[Tensor]:
    """Evenly chosen images, prepared; none where that cannot be done."""
    images = []
    # Class folders come class by class, and a batch should have all classes.
    order = torch.randperm(number, generator=torch.Generator().manual_seed(0))
    for i in order.tolist():
        try:
            info = dataset.get_data_info(i * len(dataset) // number)
            image = prepare(dict(img_path=info['img_path']))['inputs']
        except Exception:
            # Foreign transforms raise what they like where annotations lack.
            return []
        images.append(image)
    return images
