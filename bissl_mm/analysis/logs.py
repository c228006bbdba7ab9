"""What the logs of finished or running trainings say."""

import os.path as osp
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ..utils.check import check_known_keys
from ..utils.errors import FileNotFoundRefusal, ValueRefusal
from .report import Panel
from .scalars import read_scalars

#: Shown unless others are asked for: of a bilevel stage, and of another training.
OF_STAGE = (
    'lower/pretext_loss',
    'upper/loss_at_lower',
    'upper/loss_at_upper',
    'regime/lambda',
    'lower/distance',
    'regime/moved',
    'upper/cosine',
    'upper/residual',
    'lower/stationarity',
)
_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ')
_PROCESSES = re.compile(r' - Processes: (\d+) \(')


class RunTime(NamedTuple):
    """``seconds`` from the first to the last line of each log file, added up.
    ``processes`` is the largest number that a file names; ``starts`` is the
    number of files, one for each start."""

    seconds: float
    processes: int
    starts: int

    @property
    def device_hours(self) -> float:
        """Hours times processes. A GPU has one process."""
        return self.seconds * self.processes / 3600


def run_time(work_dir: str) -> RunTime:
    """How long a training took, over all its starts.

    Args:
        work_dir (str): Work folder of the run.

    Raises:
        FileNotFoundError: If it has no log.

    Source:
        C.1, arXiv:2410.02387: time multiplied by the number of GPUs.
    """
    seconds, processes, starts = 0.0, 1, 0
    for path in sorted(Path(work_dir).glob('*/*.log')):
        stamps = []
        with open(path, errors='replace') as file:
            for line in file:
                if found := _STAMP.match(line):
                    stamps.append(found[1])
                if found := _PROCESSES.search(line):
                    processes = max(processes, int(found[1]))
        if stamps:
            first, last = (
                datetime.strptime(s, '%Y/%m/%d %H:%M:%S')
                for s in (stamps[0], stamps[-1])
            )
            seconds += (last - first).total_seconds()
            starts += 1
    if not starts:
        raise FileNotFoundRefusal(
            f'{work_dir} has no log of a training (TIME/TIME.log). Give the work folder '
            'of a run.'
        )
    return RunTime(seconds, processes, starts)


def named_folders(texts: Sequence[str]) -> dict[str, str]:
    """Work folders by name.

    Args:
        texts (Sequence[str]): ``NAME=FOLDER``, or ``FOLDER``, whose own name is
            then taken.

    Raises:
        ValueError: If two have the same name.
    """
    found: dict[str, str] = {}
    for text in texts:
        # Names and folders may have the character, too.
        splits = [(text[:i], text[i + 1 :]) for i, c in enumerate(text) if c == '=']
        name, folder = max(splits, key=lambda s: osp.isdir(s[1]), default=('', text))
        if osp.isdir(text) or not name:
            name, folder = osp.basename(osp.normpath(text)), text
        if name in found:
            raise ValueRefusal(
                f'two runs have the name {name!r}: {found[name]} and {folder}. Write '
                'NAME=FOLDER with different names.'
            )
        found[name] = folder
    return found


def panels_of(
    runs: Mapping[str, str], keys: Sequence[str] | None, logarithmic: bool = False
) -> list[Panel]:
    """Curves of logged quantities, a panel for each, with all runs in it.

    Args:
        runs (Mapping[str, str]): Name -> work folder.
        keys (Sequence[str], optional): Names of quantities. Defaults to None:
            those of ``OF_STAGE`` that are logged, or all if none of them is.
        logarithmic (bool): Whether vertical axes are. Defaults to False.

    Raises:
        FileNotFoundError: If a run has logged nothing.
        TypeError: If no run has logged a quantity; the nearest is named.
    """
    logs = {}
    for name, folder in runs.items():
        logs[name] = read_scalars(folder)
        if not logs[name]:
            raise FileNotFoundRefusal(
                f'{folder} has no logged quantities (TIME/vis_data/scalars.json). Give '
                'the work folder of a run.'
            )
    known = sorted({key for log in logs.values() for key in log})
    if keys is None:
        keys = [key for key in OF_STAGE if key in known] or [
            key for key in known if not key.endswith('time')
        ]
    check_known_keys('--keys', keys, known)
    return [
        (
            key,
            'alternation' if '/' in key and 'accuracy' not in key else 'step',
            {name: log[key] for name, log in logs.items() if key in log},
            logarithmic,
        )
        for key in keys
    ]
