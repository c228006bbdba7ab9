"""A look over the data before training."""

from .findings import Look
from .look import look_over
from .parts import PLACES, PartLook

__all__ = ['Look', 'PLACES', 'PartLook', 'look_over']
