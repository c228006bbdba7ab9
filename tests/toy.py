"""Tiny models and data for the tests, real BaseModels of mmengine."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset


def conv_backbone() -> nn.Sequential:
    """The backbone of the conformance vectors, 16 features."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def nt_xent(z: Tensor, temperature: float = 0.5) -> Tensor:
    """NT-Xent of ``cat(view1, view2)``."""
    z = F.normalize(z)
    n = len(z) // 2
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
    partner = torch.arange(2 * n).roll(n)
    return F.cross_entropy(similarity, partner)


class ToyPretext(BaseModel):
    """A contrastive model; the views pass through it one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = conv_backbone()
        self.head = nn.Sequential(
            nn.Linear(16, 16),
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

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.backbone = conv_backbone()
        self.head = nn.Linear(16, num_classes)

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
