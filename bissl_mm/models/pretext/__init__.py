"""Pretext models: mmpretrain's, fit for second derivatives over ranks."""

from .simclr import SimCLR

__all__ = ['SimCLR']
