"""Folders of stages that tell what made them and whether it is finished."""

import hashlib
import json
import os
import os.path as osp
import shutil

import torch
from mmengine.config import Config
from mmengine.utils import mkdir_or_exist

from ... import __version__
from ...utils.errors import ValueRefusal
from ...utils.files import atomic_file

STAMP = 'stage.json'


class Stage:
    """The folder of one stage.

    Args:
        folder (str): Its work folder.
        cfg (Config): What will run there.
        work_dir (str): Folder of all stages; that it has another name does
            not make another stage.
        *before (Stage): The stages that this one builds on.

    Attributes:
        cfg (Config): What will run there.
        settings (dict[str, str]): All that the result depends on.
        finished (bool): Whether it ran to its end, with these settings.
        seconds (float, optional): How long that took.
    """

    def __init__(
        self, folder: str, cfg: Config, work_dir: str, *before: 'Stage'
    ) -> None:
        self.folder, self.cfg = folder, cfg
        text = repr(cfg.to_dict()).replace(work_dir, 'WORK_DIR')
        text += ''.join(json.dumps(stage.settings) for stage in before)
        self.settings: dict[str, str] = dict(
            bissl_mm=__version__,
            torch=torch.__version__,
            config=hashlib.sha256(text.encode()).hexdigest()[:16],
        )
        stamp = self._stamp()
        self.finished = stamp.get('finished', False)
        self.seconds = stamp.get('seconds')

    @property
    def begun(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._stamp())

    def check(self) -> None:
        """Refuse a folder of other contents.

        Raises:
            ValueError: If it holds a stage of other settings, or files that
                no stage wrote.
        """
        stamp = self._stamp()
        if not stamp:
            if osp.isdir(self.folder) and os.listdir(self.folder):
                self._refuse('holds files of something else')
            return
        other = [
            f'{name} {stamp["settings"].get(name)}, now {value}'
            for name, value in self.settings.items()
            if stamp['settings'].get(name) != value
        ]
        if other:
            self._refuse(f'was made with other settings ({"; ".join(other)})')

    def begin(self) -> None:
        """Mark the folder as this stage's."""
        mkdir_or_exist(self.folder)
        self._write(finished=False)

    def finish(self, seconds: float) -> None:
        """Note that the stage is done."""
        self.finished, self.seconds = True, seconds
        self._write(finished=True, seconds=seconds)

    def _refuse(self, why: str) -> None:
        raise ValueRefusal(
            f"'{self.folder}' {why}. Pass --work-dir with another folder, or "
            '--fresh to begin anew here; --fresh moves what is there aside. '
            'With make: make demo ARGS=--fresh'
        )

    def _stamp(self) -> dict:
        path = osp.join(self.folder, STAMP)
        if not osp.isfile(path):
            return {}
        with open(path) as file:
            return json.load(file)

    def _write(self, **state) -> None:
        with atomic_file(osp.join(self.folder, STAMP)) as file:
            json.dump(dict(settings=self.settings, **state), file, indent=1)


def move_aside(work_dir: str, names) -> str | None:
    """Move folders of ``work_dir`` to a new one, ``earlier-N``, in it.

    Args:
        work_dir (str): Their folder.
        names (Sequence[str]): Those that exist are moved.

    Returns:
        str: The new folder; None if there was nothing to move.
    """
    found = [n for n in names if osp.exists(osp.join(work_dir, n))]
    if not found:
        return None
    number = 1
    while osp.exists(osp.join(work_dir, f'earlier-{number}')):
        number += 1
    target = osp.join(work_dir, f'earlier-{number}')
    os.makedirs(target)
    for name in found:
        shutil.move(osp.join(work_dir, name), osp.join(target, name))
    return target
