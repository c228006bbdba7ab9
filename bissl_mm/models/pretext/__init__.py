"""Pretext models: mmpretrain's, fit for second derivatives over ranks."""

from .barlow_twins import CrossCorrelationHead
from .byol import BYOL
from .simclr import SimCLR

__all__ = ['BYOL', 'CrossCorrelationHead', 'SimCLR']
