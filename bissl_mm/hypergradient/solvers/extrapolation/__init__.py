"""A last step of :class:`RecyclingSolver` that costs no product.

It serves speed alone. ``RecyclingSolver(extrapolate=False)`` does without.
"""

from .solves import ExtrapolatingSolves

__all__ = ['ExtrapolatingSolves']
