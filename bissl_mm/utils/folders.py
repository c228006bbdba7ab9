"""Checks whether a run can write to its work folder."""

import os
import os.path as osp

from .errors import OSRefusal


def check_work_dir(path: str) -> None:
    """Refuse a work folder that cannot be created or written to.

    The folder is not created here, so a run that is refused for another
    reason leaves no folder behind.

    Args:
        path (str): The folder. It need not exist.

    Raises:
        OSError: With the folder and the reason.
    """
    place = osp.abspath(path)
    # A broken link cannot become a folder either.
    while not osp.lexists(place):
        place = osp.dirname(place)
    if not osp.isdir(place):
        why = f'{place!r} is a file'
    elif not os.access(place, os.W_OK | os.X_OK):
        why = f'{place!r} is not writable'
    else:
        return
    raise OSRefusal(
        f'Work folder {path!r} cannot be used: {why}. Type --work-dir FOLDER '
        'with another folder.'
    )
