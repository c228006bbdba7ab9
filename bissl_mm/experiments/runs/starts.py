"""How a baseline changes the model at the start of fine-tuning, as hooks."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ...utils.errors import ValueRefusal

#: Scale of NoisyTune's noise (B.9.2, arXiv:2410.02387).
NOISE = 0.015


def backbone_parts(model: Any) -> list[Any]:
    """The modules that a backbone file is loaded into."""
    model = getattr(model, 'module', model)
    shared = getattr(getattr(model, 'roi_head', None), 'shared_head', None)
    return [part for part in (model.backbone, shared) if part is not None]


class LinearProbing(Hook):
    """Train the head alone (B.9.1, arXiv:2410.02387).

    The backbone's normalisation uses the running statistics of pretraining.
    """

    def before_train(self, runner: Runner) -> None:
        """Freeze the backbone."""
        for part in backbone_parts(runner.model):
            part.requires_grad_(False)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None):
        """Keep it in evaluation mode, which every epoch leaves."""
        for part in backbone_parts(runner.model):
            part.eval()


class ZeroHead(Hook):
    """Start from a classification head of zeros (B.9.1, arXiv:2410.02387)."""

    def before_train(self, runner: Runner) -> None:
        """Set the head's parameters to zero."""
        model = getattr(runner.model, 'module', runner.model)
        head = getattr(model, 'head', None)
        if head is None:
            raise ValueRefusal(
                f'Zero head: {type(model).__name__} has no classification head, and '
                'a dense head of zeros would pass no gradient on. Leave this arm '
                'out for this task.'
            )
        with torch.no_grad():
            for param in head.parameters():
                param.zero_()


class NoisyTune(Hook):
    """Add noise to the backbone (B.9.2, arXiv:2410.02387).

    Each parameter tensor gets Gaussian noise of the deviation ``scale`` times
    that of its elements. Wu et al., who proposed it, draw uniform noise.

    Args:
        seed (int): Of the noise.
        scale (float): Defaults to :data:`NOISE`.
    """

    def __init__(self, seed: int, scale: float = NOISE) -> None:
        self.seed, self.scale = seed, scale

    def before_train(self, runner: Runner) -> None:
        """Add the noise."""
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for param in _parameters(runner.model):
                noise = torch.randn(param.shape, generator=generator)
                param.add_(self.scale * param.std(correction=0) * noise.to(param))


def _parameters(model: nn.Module) -> Iterator[Tensor]:
    for part in backbone_parts(model):
        yield from part.parameters()


#: Name in a node -> hooks for a seed.
STARTS = {
    'linear_probing': lambda seed: [LinearProbing()],
    'zero_head': lambda seed: [ZeroHead()],
    'noisy_tune': lambda seed: [NoisyTune(seed)],
}
