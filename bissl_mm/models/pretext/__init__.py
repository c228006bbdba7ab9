"""Pretext models of mmpretrain with right second derivatives on all ranks."""

from .barlow_twins import CrossCorrelationHead
from .byol import BYOL
from .simclr import SimCLR

__all__ = ['BYOL', 'CrossCorrelationHead', 'SimCLR']
