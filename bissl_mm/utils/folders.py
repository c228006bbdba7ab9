"""Checks whether a run can write to its work folder, and a tool its results."""

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
    why = _obstacle(path) if path else 'it has no name'
    if why:
        raise OSRefusal(
            f'Work folder {path!r} cannot be used: {why}. Type --work-dir FOLDER '
            'with another folder.'
        )


def checked_output(option: str, path: str, source: str | None = None) -> str:
    """The path of a file that a tool writes at its end, checked when it begins.

    Args:
        option (str): Where it was typed, for the message.
        path (str): The file. Neither it nor its folder need exist.
        source (str, optional): What the tool reads, which it must not replace: a
            file, or an address. Defaults to None.

    Returns:
        str: The path, with the home folder in the place of ``~``.

    Raises:
        OSError: With the path and the reason.
    """
    path = osp.expanduser(path)
    why = 'it is a folder' if osp.isdir(path) else _obstacle(osp.dirname(path) or '.')
    if not osp.basename(path) or why:
        raise OSRefusal(
            f'{option} {path!r} cannot be written: {why or "it names no file"}. Type '
            'the path of a file in another folder.'
        )
    if source is not None and _same_file(path, osp.expanduser(source)):
        raise OSRefusal(
            f'{option} {path!r} is the file that is read, {source!r}, and would '
            'replace it. Type the path of another file.'
        )
    return path


def _same_file(path: str, other: str) -> bool:
    """Whether two paths lead to one file, by links, too."""
    return osp.exists(path) and osp.exists(other) and osp.samefile(path, other)


def _obstacle(folder: str) -> str | None:
    """Why a folder cannot be made or written to; None if it can."""
    place = osp.abspath(folder)
    # A broken link cannot become a folder either.
    while not osp.lexists(place):
        place = osp.dirname(place)
    if not osp.isdir(place):
        return f'{place!r} is a file'
    if not os.access(place, os.W_OK | os.X_OK):
        return f'{place!r} is not writable'
    return None
