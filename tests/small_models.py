"""Small instances of mmpretrain's own models."""

import torch
from mmengine.registry import MODELS
from torch import nn

import bissl_mm.models  # noqa: F401  (registers)


def backbone(norm: str = 'BN') -> dict:
    return dict(
        type='ResNet',
        depth=18,
        stem_channels=4,
        base_channels=4,
        norm_cfg=dict(type=norm),
    )


def simclr_cfg(kind: str = 'bissl_mm.SimCLR', norm: str = 'BN', **kwargs) -> dict:
    return dict(
        type=kind,
        _scope_='mmpretrain',
        backbone=backbone(norm),
        neck=dict(
            type='NonLinearNeck',
            in_channels=32,
            hid_channels=16,
            out_channels=8,
            num_layers=3,
            with_bias=True,
            with_last_bn=False,
            norm_cfg=dict(type='BN1d' if norm == 'BN' else norm),
        ),
        head=dict(
            type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
        ),
        **kwargs,
    )


def classifier_cfg(norm: str = 'BN', num_classes: int = 3) -> dict:
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=backbone(norm),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=num_classes,
            in_channels=32,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


def build(cfg: dict, seed: int = 0, perturb: float = 0.02) -> nn.Module:
    """A model in double precision, moved off its initialisation.

    A fresh residual network has ReLU inputs exactly at the kink, where
    finite differences are useless.
    """
    torch.manual_seed(seed)
    model = MODELS.build(cfg)
    model.init_weights()
    model.double()
    with torch.no_grad():
        for param in model.parameters():
            param.add_(perturb * torch.randn_like(param))
    return model


def views(size: int = 6, pixels: int = 24, seed: int = 1) -> list:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, 3, pixels, pixels, generator=generator, dtype=torch.float64)
        for _ in range(2)
    ]
