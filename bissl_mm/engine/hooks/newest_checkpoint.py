"""Finds the newest complete checkpoint of a run, also beside a lost pointer."""

import glob
import logging
import os.path as osp
from collections.abc import Sequence

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from ...utils.checkpoint import is_intact
from ...utils.errors import ValueRefusal
from ..checks.ranks import chosen_by_first_rank


class NewestCheckpointHook(Hook):
    """Let stock loops resume from the newest complete checkpoint.

    mmengine follows ``last_checkpoint``, which has an absolute path and may be torn.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Choose one for an automatic resume of all processes."""
        if not runner._resume or runner._load_from is not None:
            return
        folders = [
            hook.out_dir
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and hook.out_dir is not None
        ]
        folder = checkpoint_folder(runner.work_dir, *folders[:1])
        runner._load_from = chosen_by_first_rank(
            lambda: newest_complete(
                runner.work_dir, folder, ('iter_*.pth', 'epoch_*.pth'), runner.logger
            )
        )


class FirstStartHook(Hook):
    """Let a run that has no checkpoint to resume from yet begin with its ``load_from``.

    A job that is submitted again and again has ``--resume`` from the first time on.

    Args:
        load_from (str): The file whose weights the run begins with.
    """

    # After the hooks that look for a checkpoint.
    priority = 'LOWEST'

    def __init__(self, load_from: str) -> None:
        self.load_from = load_from

    def before_run(self, runner: Runner) -> None:
        """Load the weights, unless a checkpoint was found."""
        if runner._resume and runner._load_from is None:
            runner._resume, runner._load_from = False, self.load_from
            runner.logger.info(
                f'--resume: {runner.work_dir!r} has no checkpoint yet, so the run '
                f'begins with load_from={self.load_from!r}.'
            )


def checkpoint_folder(work_dir: str, out_dir: str | None = None) -> str:
    """The folder of the checkpoints, as mmengine's hook sets it in training.

    Args:
        work_dir (str): Work folder.
        out_dir (str, optional): Of the hook.
    """
    if out_dir is None:
        return work_dir
    return osp.join(out_dir, osp.basename(work_dir))


def newest_complete(
    work_dir: str, folder: str, patterns: Sequence[str], logger: logging.Logger
) -> str | None:
    """The newest complete checkpoint of a run; None if there is none at all.

    Args:
        work_dir (str): Work folder, with the file ``last_checkpoint``.
        folder (str): Folder of the checkpoints.
        patterns (Sequence[str]): Of their names.
        logger (Logger): Gets a line about each that is not complete.

    Raises:
        ValueError: If there are some, and none is complete.
    """
    candidates = find_checkpoints(work_dir, folder, patterns)
    for path in candidates:
        if is_intact(path):
            return path
        logger.warning(
            f"Checkpoint '{path}' is missing, empty or torn; trying the one before."
        )
    if candidates:
        raise ValueRefusal(
            f"None of the checkpoints in '{folder}' is complete: "
            f'{", ".join(candidates)}. Remove them to start anew, or pass --resume '
            'PATH.'
        )
    return None


def earlier_files_note(work_dir: str) -> str | None:
    """What a run that starts anew in the folder of an earlier one should say.

    Options are no part of the folder's name, so two runs that differ in options alone
    share it. A ``backbone.pth`` there is the earlier run's until the new one ends.

    Args:
        work_dir (str): Work folder. It need not exist.

    Returns:
        str or None: None if no earlier run left weights there.
    """
    names = sorted(
        osp.basename(path)
        for path in glob.glob(osp.join(glob.escape(work_dir), '*.pth'))
    )
    if not names:
        return None
    shown = ', '.join(names[:4]) + f' and {len(names) - 4} more' * (len(names) > 4)
    return (
        f'Work folder {work_dir!r} has files of an earlier run ({shown}). This run starts '
        'anew and writes over those of the same name; the others stay the earlier '
        "run's. Type --resume to continue that run, or --work-dir FOLDER to keep "
        'its files apart.'
    )


def find_checkpoints(
    work_dir: str, folder: str, patterns: Sequence[str] = ('iter_*.pth',)
) -> list[str]:
    """Checkpoints of a run, the newest first.

    Args:
        work_dir (str): Work folder, with the file ``last_checkpoint``.
        folder (str): Folder of the checkpoints.
        patterns (Sequence[str]): Of their names.

    Returns:
        list[str]: First the file that ``last_checkpoint`` names, even if it does
        not exist; then all others by time of writing.
    """
    paths = sorted(
        (
            path
            for pattern in patterns
            for path in glob.glob(osp.join(glob.escape(folder), pattern))
        ),
        key=osp.getmtime,
        reverse=True,
    )
    pointer = osp.join(work_dir, 'last_checkpoint')
    if osp.isfile(pointer):
        with open(pointer) as file:
            last = file.read().strip()
        if last:
            paths = [last] + [p for p in paths if osp.abspath(p) != osp.abspath(last)]
    return paths
