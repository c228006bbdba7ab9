"""Pretext models: mmpretrain's, fit for second derivatives over ranks."""

from .byol import BYOL
from .simclr import SimCLR

__all__ = ['BYOL', 'SimCLR']
