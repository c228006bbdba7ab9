"""BiSSL for the OpenMMLab libraries."""

from .utils.versions import check_versions
from .version import __version__

check_versions()

__all__ = ['__version__']
