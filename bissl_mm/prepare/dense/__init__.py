"""Data sets of boxes and masks that stay in their publishers' layouts."""

from . import cityscapes, voc  # noqa: F401
