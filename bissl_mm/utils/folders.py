"""Can a run write where it is told to?"""

import os
import os.path as osp

from .errors import OSRefusal


def check_work_dir(path: str) -> None:
    """Refuse a work folder that cannot be made or written.

    Nothing is made: a run that is refused for another reason leaves no
    folder.

    Args:
        path (str): The folder, which need not exist.

    Raises:
        OSError: Naming the folder and why.
    """
    place = osp.abspath(path)
    # A link that leads nowhere cannot become a folder either.
    while not osp.lexists(place):
        place = osp.dirname(place)
    if not osp.isdir(place):
        why = f'{place!r} is a file'
    elif not os.access(place, os.W_OK | os.X_OK):
        why = f'{place!r} is not writable'
    else:
        return
    raise OSRefusal(
        f'Work folder {path!r} cannot be used: {why}. Type '
        '--work-dir FOLDER with another one.'
    )
