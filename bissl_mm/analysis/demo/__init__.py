"""The demos: all four stages on images that come with Python packages."""

from .run import Demo
from .tasks import TASKS

__all__ = ['Demo', 'TASKS']
