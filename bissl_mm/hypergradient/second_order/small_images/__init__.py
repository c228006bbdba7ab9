"""Kernels for layers of a few pixels, on a processor.

They serve speed alone: the values are torch's but for rounding.
"""

from .layers import SmallConv, SmallNorm

__all__ = ['SmallConv', 'SmallNorm']
