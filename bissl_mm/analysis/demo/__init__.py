"""The demos: all four stages on data that install with a package."""

from .run import Demo
from .tasks import TASKS

__all__ = ['Demo', 'TASKS']
