"""Stage folders that record their settings and whether they are finished."""

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
        folder (str): Work folder of the stage.
        cfg (Config): The config that will run there.
        work_dir (str): Folder of all stages. A stage is the same if this folder
            gets another name.
        *before (Stage): The stages that this one builds on.

    Attributes:
        cfg (Config): The config that will run there.
        settings (dict[str, str]): Everything that the result depends on.
        finished (bool): Whether the stage ran to its end with these settings.
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
        """Whether the stage was started, so that it can continue."""
        return bool(self._stamp())

    def check(self) -> None:
        """Refuse a folder with other contents.

        Raises:
            ValueError: If it has a stage with other settings, or files that no
                stage wrote.
        """
        stamp = self._stamp()
        if not stamp:
            if osp.isdir(self.folder) and os.listdir(self.folder):
                self._refuse('has files that no demo wrote')
            return
        other = [
            f'{name} {stamp["settings"].get(name)}, now {value}'
            for name, value in self.settings.items()
            if stamp['settings'].get(name) != value
        ]
        if other:
            self._refuse(f'was made with other settings ({"; ".join(other)})')

    def begin(self) -> None:
        """Mark the folder as that of this stage."""
        mkdir_or_exist(self.folder)
        self._write(finished=False)

    def finish(self, seconds: float) -> None:
        """Note that the stage is finished."""
        self.finished, self.seconds = True, seconds
        self._write(finished=True, seconds=seconds)

    def _refuse(self, why: str) -> None:
        raise ValueRefusal(
            f"'{self.folder}' {why}. Type --work-dir with another folder, or "
            '--fresh to start again here (make demo ARGS=--fresh); --fresh '
            'moves the present files to a folder beside it.'
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
    """Move subfolders of ``work_dir`` to a new subfolder, ``earlier-N``.

    Args:
        work_dir (str): The folder.
        names (Sequence[str]): Names of subfolders; those that exist are moved.

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
