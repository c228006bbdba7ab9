"""Checks for the oldest versions that the package works with.

Imports the standard library only, because this runs whenever the package is
imported.
"""

import re
from importlib import metadata

from .errors import ImportRefusal

#: Library -> its oldest version, and the names under which it is published.
OLDEST = {
    'torch': ('2.1', ('torch',)),
    'mmengine': ('0.10', ('mmengine', 'mmengine-lite', 'onedl-mmengine')),
    'mmcv': ('2.1', ('mmcv', 'mmcv-lite', 'onedl-mmcv')),
    'mmpretrain': ('1.2', ('mmpretrain', 'onedl-mmpretrain')),
}


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``'2.1.2+cu121'`` gives (2, 1, 2)."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(n) for n in match.group().split('.')) if match else ()


def check_versions() -> None:
    """Refuse libraries that are too old. A library may be missing.

    Raises:
        ImportError: For the first library whose installed version is older
            than the oldest one known to work.
    """
    for library, (oldest, names) in OLDEST.items():
        found = [v for v in map(_version_of, names) if v]
        newest = max(found, key=release, default=None)
        if newest is not None and release(newest) < release(oldest):
            raise ImportRefusal(
                f'bissl_mm needs {library} {oldest} or newer, but {newest} is '
                f'installed. Type pip install "{names[0]}>={oldest}".'
            )


def _version_of(name: str) -> str:
    try:
        return metadata.version(name) or ''
    except metadata.PackageNotFoundError:
        return ''
