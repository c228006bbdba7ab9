"""Tiny models and data for the tests, real BaseModels of mmengine."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset


def conv_backbone(width: int = 8) -> nn.Sequential:
    """The backbone of the conformance vectors, ``2 * width`` features."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def nt_xent(z: Tensor, temperature: float = 0.5) -> Tensor:
    """NT-Xent of ``cat(view1, view2)``."""
    z = F.normalize(z)
    n = len(z) // 2
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(2 * n, dtype=torch.bool, device=z.device), -1e9
    )
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similarity, partner)


class ToyPretext(BaseModel):
    """A contrastive model; the views pass through it one after the other."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.backbone = conv_backbone(width)
        self.head = nn.Sequential(
            nn.Linear(2 * width, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 8, bias=False),
        )

    def forward(
        self, inputs: list[Tensor], data_samples=None, mode: str = 'tensor'
    ) -> dict[str, Tensor]:
        z = torch.cat([self.head(self.backbone(x)) for x in inputs])
        return dict(loss=nt_xent(z)) if mode == 'loss' else z


class ToyDownstream(BaseModel):
    """Linear classifier on the backbone."""

    def __init__(self, num_classes: int = 5, width: int = 8) -> None:
        super().__init__()
        self.backbone = conv_backbone(width)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(
        self, inputs: Tensor, data_samples: Tensor = None, mode: str = 'tensor'
    ):
        logits = self.head(self.backbone(inputs))
        if mode == 'loss':
            return dict(loss=F.cross_entropy(logits, data_samples))
        return logits


class DictDataset(Dataset):
    """A dataset of given samples."""

    def __init__(self, samples: list) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        return self.samples[index]
