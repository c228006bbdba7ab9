"""The check of the data before training, called the look.

A :class:`~bissl_mm.datasets.look.findings.Look` collects refusals and warnings
about the splits of a config. In this package a part is a split: pretext, train,
val or test.
"""

from .findings import Look
from .look import look_over
from .parts import PLACES, PartLook

__all__ = ['Look', 'PLACES', 'PartLook', 'look_over']
