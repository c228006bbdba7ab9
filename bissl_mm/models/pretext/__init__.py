"""Pretext models of mmpretrain with right second derivatives on all ranks."""

from .barlow_twins import CrossCorrelationHead
from .byol import BYOL
from .dino import DINO, DINONeck
from .simclr import SimCLR
from .vicreg import VICReg, VICRegHead

__all__ = [
    'BYOL',
    'DINO',
    'CrossCorrelationHead',
    'DINONeck',
    'SimCLR',
    'VICReg',
    'VICRegHead',
]
