"""Estimate how well a backbone transfers, without fine-tuning."""

import math
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...models.bissl_model import unwrap
from ...models.losses.functional import substituted
from ...registry import HOOKS
from ...utils.check import check_keys, check_positive_int
from ...utils.errors import ValueRefusal

#: Name of the scalar in the message hub and the log.
NAME = 'transfer/neighbours'
#: Key of the values in a checkpoint.
HISTORY = 'bissl_transfer_history'


@HOOKS.register_module()
@check_keys
class TransferHook(Hook):
    r"""Accuracy of nearest neighbours on features of :math:`\theta_P`.

    Before the first alternation and after every ``interval`` ones, the
    validation images pass the backbone. Each image is classified by its
    neighbours among the other images. Neighbours have the highest cosine s and
    the weight :math:`\exp(s/0.1)`. No head is trained. Batch norms take the
    statistics of batches of validation images (see :func:`mixed_batches`),
    because running statistics are those of pretext views; torch's own
    synchronised norms keep the running ones. With several processes, only the
    first one evaluates. If the data do not have one label per image, the hook
    does nothing, and says so.

    Args:
        interval (int): Alternations between evaluations. Defaults to 10.
        num_neighbours (int): Number of neighbours. Defaults to 10.
        max_images (int): Largest number of images, drawn with a seed.
            Defaults to 2000.

    Attributes:
        history (list[tuple[int, float]]): Alternations and their accuracies in
            percent.
        number_of_samples (int): Those of the last evaluation.
    """

    # This hook has to run before the backbone is exported.
    priority = 'LOW'

    def __init__(
        self, interval: int = 10, num_neighbours: int = 10, max_images: int = 2000
    ) -> None:
        check_positive_int('TransferHook', 'interval', interval)
        check_positive_int('TransferHook', 'num_neighbours', num_neighbours)
        check_positive_int('TransferHook', 'max_images', max_images)
        self.interval = interval
        self.num_neighbours = num_neighbours
        self.max_images = max_images
        self.history: list[tuple[int, float]] = []
        self._silent = False
        self.number_of_samples = 0

    def before_train(self, runner: Runner) -> None:
        """Evaluate the pretrained backbone, unless the run is resumed."""
        # A run that stopped within its first alternation has looked.
        if runner.train_loop.iter == 0 and not self.history:
            self._look(runner, 0)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Evaluate if that is due."""
        number = batch_idx + 1
        if number % self.interval == 0 or number == runner.train_loop.max_iters:
            self._look(runner, number)

    def after_train(self, runner: Runner) -> None:
        """Warn if the estimate has fallen by more than its standard error."""
        # No number of samples: the run was resumed at its end.
        if len(self.history) < 2 or not self.number_of_samples:
            return
        first, last = (value / 100 for _, value in (self.history[0], self.history[-1]))
        if first - last > math.sqrt(first * (1 - first) / self.number_of_samples):
            runner.logger.warning(
                f'Nearest neighbours by features of theta_P classify {100 * last:.1f}% '
                f'of the validation samples correctly, and {100 * first:.1f}% before '
                'the stage, so the stage may have harmed the backbone. Compare it '
                'with fine-tuning alone, and try a lower '
                'optim_wrapper.upper.optimizer.lr.'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the values so far for a resumed run."""
        checkpoint[HISTORY] = self.history

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read them."""
        if runner._resume:
            self.history = [tuple(pair) for pair in checkpoint.get(HISTORY, [])]

    def _look(self, runner: Runner, number: int) -> None:
        if runner.val_loop is None or get_rank() != 0:
            return
        model = unwrap(runner.model)
        with (
            torch.no_grad(),
            substituted(model.downstream, model.upper_state_at_lower()),
        ):
            found = batch_features(
                model.downstream, runner.val_loop.dataloader, self.max_images
            )
        if found is None:
            if not self._silent:
                self._silent = True
                runner.logger.info(
                    'TransferHook estimates nothing here: the validation samples do '
                    'not have one label each.'
                )
            return
        value = neighbours_accuracy(*found, self.num_neighbours)
        self.number_of_samples = len(found[1])
        self.history.append((number, value))
        runner.message_hub.update_info(NAME, (number, value))
        runner.visualizer.add_scalar(NAME, value, step=number)
        runner.logger.info(
            f'After alternation {number}: nearest neighbours by features of '
            f'theta_P classify {value:.1f}% of {len(found[1])} validation samples '
            f'correctly (at first {self.history[0][1]:.1f}%).'
        )


@torch.no_grad()
def batch_features(
    model: nn.Module, loader: Iterable, max_images: int = 2000
) -> tuple[Tensor, Tensor] | None:
    """Features of a model's backbone, whose batch norms use batch statistics.

    Args:
        model (nn.Module): A classifier of mmpretrain, or another model with a
            ``data_preprocessor`` and a ``backbone`` of the same form, or with a
            method ``transfer_features`` (inputs to (N, C)). Running statistics
            of its norms move.
        loader (Iterable): Collated batches with labels; those of a data loader
            are drawn by :func:`mixed_batches`, others are taken as they are.
        max_images (int): Largest number of images. Defaults to 2000.

    Returns:
        tuple[Tensor, Tensor], optional: Features (N, C) and labels (N, ), on
        the CPU. None if the data do not have one label per image.
    """
    features, labels = [], []
    with batch_statistics(model):
        for batch in mixed_batches(loader, max_images):
            data = model.data_preprocessor(batch, False)
            found = [_label(s) for s in data['data_samples'] or ()]
            inputs = data['inputs']
            if not found or None in found or not isinstance(inputs, Tensor):
                return None
            features.append(_features(model, inputs).cpu())
            labels += found
            if len(labels) >= max_images:
                break
    return (torch.cat(features), torch.tensor(labels)) if features else None


def mixed_batches(loader: Iterable, max_images: int) -> Iterable:
    """A seeded draw of a loader's images, without their order.

    Validation sets come class by class. In a batch of one class, the batch's
    statistics take away what tells this class from others.

    Args:
        loader (Iterable): One that is no data loader, that forms its batches itself,
            or whose data set has no length, is returned as it is.
        max_images (int): Largest number of images.

    Returns:
        Iterable: Batches of nearly equal size, of the loader's size at most. Global
        random numbers are not used.
    """
    if (
        not isinstance(loader, DataLoader)
        or not isinstance(loader.dataset, Sized)
        or loader.batch_size is None
    ):
        return loader
    order = torch.randperm(
        len(loader.dataset), generator=torch.Generator().manual_seed(0)
    )[:max_images]
    number = max(1, math.ceil(len(order) / loader.batch_size))
    workers: dict[str, Any] = dict(num_workers=loader.num_workers)
    if loader.num_workers:
        workers.update(
            multiprocessing_context=loader.multiprocessing_context,
            worker_init_fn=loader.worker_init_fn,
        )
    return DataLoader(
        loader.dataset,
        # A last batch of a few images would have statistics of its own.
        batch_sampler=[part.tolist() for part in order.tensor_split(number)],
        collate_fn=loader.collate_fn,
        # Otherwise each look draws a number for its workers.
        generator=torch.Generator(),
        **workers,
    )


def neighbours_accuracy(features: Tensor, labels: Tensor, number: int) -> float:
    """Leave-one-out accuracy of weighted nearest neighbours, in percent.

    Args:
        features (Tensor): Shape (N, C).
        labels (Tensor): Shape (N, ), whole numbers.
        number (int): Number of neighbours.

    Raises:
        ValueError: If a feature is not finite.
    """
    broken = int((~features.isfinite()).any(dim=1).sum())
    if broken:
        raise ValueRefusal(
            f'neighbours: the backbone gives {broken} of {len(features)} images features '
            'that are not finite. Its weights have diverged: go on from an earlier '
            'checkpoint, with lower learning rates.'
        )
    unit = F.normalize(features.double(), dim=1)
    similarity = unit @ unit.T
    similarity.fill_diagonal_(-math.inf)
    nearest, index = similarity.topk(min(number, len(labels) - 1), dim=1)
    votes = torch.zeros(len(labels), int(labels.max()) + 1, dtype=torch.float64)
    votes.scatter_add_(1, labels[index], (nearest / 0.1).exp())
    return (votes.argmax(1) == labels).double().mean().item() * 100


def _features(model: Any, inputs: Tensor) -> Tensor:
    own = getattr(model, 'transfer_features', None)
    return pooled(model.backbone(inputs)) if own is None else own(inputs)


def _label(sample: Any) -> int | None:
    label = getattr(sample, 'gt_label', None)
    return int(label) if label is not None and label.numel() == 1 else None


def pooled(outputs: Any) -> Tensor:
    """One vector per image, from the last stage.

    Args:
        outputs (Tensor or tuple): Of a backbone: ``(N, C, H, W)`` or ``(N, C)``, or
            one of these for each stage.

    Returns:
        Tensor: Shape ``(N, C)``; the mean over places.
    """
    last = outputs
    while isinstance(last, (tuple, list)):
        last = last[-1]
    return last.flatten(2).mean(2) if last.dim() > 2 else last


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, but batch norms take the statistics of the batch of this
    process. Modes are put back at the end; running statistics move.

    Args:
        model (nn.Module): Whose modes are changed within the block.
    """
    was = {
        module: (module.training, getattr(module, 'synchronised', None))
        for module in model.modules()
    }
    model.eval()
    for module, (_, synchronised) in was.items():
        if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
            module.training = True
            if synchronised is not None:
                # The other processes do not run this code.
                module.synchronised = False
    try:
        yield
    finally:
        for module, (training, synchronised) in was.items():
            module.training = training
            if synchronised is not None:
                module.synchronised = synchronised
