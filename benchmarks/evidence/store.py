"""Runs by key: what is finished, what may begin, and the processes."""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from layout_words import SUFFIXES, files_in

import bissl_mm
from bissl_mm.analysis.runs.workers import start_workers
from bissl_mm.utils.errors import ValueRefusal
from bissl_mm.utils.files import atomic_file

#: Suffixes of files that say which images and labels there are.
LISTS = ('.json', '.txt', '.csv', '.lst', '.xml')


def commit() -> str:
    """Of the code that makes the runs; empty outside a repository."""
    found = subprocess.run(
        ['git', '-C', str(Path(__file__).parent), 'rev-parse', '--short', 'HEAD'],
        capture_output=True,
        text=True,
    )
    return found.stdout.strip()


def device() -> dict[str, str]:
    """The GPU that runs use, for their records; empty without one."""
    if not torch.cuda.is_available():
        return {}
    return dict(device=torch.cuda.get_device_name())


@dataclass
class Task:
    """A run: its key, which is what its record says of it, and its function.

    Attributes:
        key (dict): Plain values.
        function (Callable): Without arguments in the worker.
        makes (Path, optional): File without which it is not done.
    """

    key: dict[str, object]
    function: Callable[[], dict[str, object]]
    makes: Path | None = None


def read_records(path: Path) -> list[dict]:
    """The records of a file. A last line that was cut off is removed from it.

    Args:
        path (Path): With one record a line.

    Raises:
        ValueError: If another line is no record.
    """
    *lines, last = path.read_bytes().split(b'\n')
    if last and _record(last) is not None:
        lines.append(last)
        with path.open('ab') as file:
            file.write(b'\n')
    elif last:
        # A full disk or a loss of power: the run is repeated.
        os.truncate(path, path.stat().st_size - len(last))
    records = []
    for number, line in enumerate(lines, 1):
        record = _record(line)
        if record is None:
            raise ValueRefusal(
                f'{path}, line {number} is no record of a run: '
                f'{line[:60].decode(errors="replace")!r}. Remove this line; its run '
                'will be repeated.'
            )
        records.append(record)
    return records


def _record(line: bytes) -> dict | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and 'key' in found else None


def digest(folder: str, but: Sequence[Path] = ()) -> str:
    """Of the images and lists in a folder: paths, sizes, times of change.

    Args:
        folder (str): The folder.
        but (Sequence[Path]): Folders within it that runs write into.
    """
    top = os.path.join(folder, '')
    within = (os.path.join(path.resolve(), '') for path in but)
    # The data may lie below such a folder themselves.
    skipped = tuple(path for path in within if not top.startswith(path))
    lines = []
    for name in files_in(folder):
        path = os.path.join(folder, name)
        if name.lower().endswith((*SUFFIXES, *LISTS)) and not path.startswith(skipped):
            found = os.stat(path)
            lines.append(f'{name}\0{found.st_size}\0{found.st_mtime_ns}\n')
    text = ''.join(sorted(lines))
    return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]


def open_folder(
    work_dir: Path | None, folders: dict[str, Path], settings: dict[str, object]
) -> Path:
    """The folder of the runs of some data and settings.

    Args:
        work_dir (Path, optional): The folder; None for one in ``work_dirs`` that is
            named by all this.
        folders (dict[str, Path]): Of the data, by environment variable. The last one
            gives the name.
        settings (dict): Plain values.
    """
    own = [Path('work_dirs'), work_dir or Path('work_dirs')]
    facts = dict(settings, bissl_mm=bissl_mm.__version__)
    for name, folder in folders.items():
        facts[name] = str(folder)
        # Labels may be corrected, and images added, in place.
        facts[f'digest of {name}'] = digest(str(folder), own)
    text = json.dumps(facts, sort_keys=True).encode()
    number = hashlib.sha256(text).hexdigest()[:8]
    folder = work_dir or own[0] / f'evidence-{[*folders.values()][-1].name}-{number}'
    keep_facts(folder, facts)
    return folder


def keep_facts(folder: Path, facts: dict[str, object]) -> None:
    """Write into a folder what its runs are of; refuse one with others.

    Args:
        folder (Path): Made if it is not there.
        facts (dict): Plain values.

    Raises:
        ValueError: Naming those that differ.
    """
    file = folder / 'runs_of.json'
    if file.exists():
        try:
            found = json.loads(file.read_text())
        except ValueError:
            found = {}
        differ = [
            f'{name} was {found.get(name)!r} and is {facts.get(name)!r}'
            for name in sorted({*facts, *found})
            if name not in found or found[name] != facts.get(name)
        ]
        if differ:
            raise ValueRefusal(
                f'{folder} has runs of other folders or settings: {"; ".join(differ)}. '
                'Type --work-dir with another folder.'
            )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as opened:
        opened.write(json.dumps(facts, indent=1, sort_keys=True))


class Store:
    """Records by key, and the folder of the backbones."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path, self.state = path, state
        state.mkdir(parents=True, exist_ok=True)
        self.records = read_records(path) if path.exists() else []
        self._found = {self._text(r['key']): r for r in self.records}
        self.commit = commit()
        self.device = device()

    @staticmethod
    def _text(key: dict) -> str:
        return json.dumps(key, sort_keys=True)

    def get(self, task: Task) -> dict | None:
        """Its record, if the file that it makes is there as well."""
        if task.makes is not None and not task.makes.exists():
            return None
        return self._found.get(self._text(task.key))

    def add(self, task: Task, result: dict) -> None:
        """Keep a record; a repeated run is kept beside the first."""
        record = dict(
            key=task.key,
            **result,
            version=bissl_mm.__version__,
            commit=self.commit,
            **self.device,
            torch=torch.__version__,
            machine=platform.machine(),
            at=time.strftime('%Y-%m-%d %H:%M'),
        )
        self.records.append(record)
        self._found[self._text(task.key)] = record
        with self.path.open('a') as file:
            file.write(json.dumps(record) + '\n')


class Steps(Protocol):
    """What :func:`run` needs: a method a step that yields tasks."""

    store: Store

    def begins_with(self, task: Task) -> Path | None:
        """The file that it begins with, if any."""

    def is_ready(self, task: Task) -> bool:
        """Whether that file is there."""


def show(task: Task, result: dict) -> None:
    """A line about a finished run."""
    shown = {k: v for k, v in result.items() if k in ('val', 'test', 'seconds')}
    print(f'{task.key} {shown}', flush=True)


def run(
    campaign: Steps,
    steps: list[str],
    workers: int,
    seconds: float = float('inf'),
    done: Callable[[Task, dict], None] = show,
    libraries: Sequence[str] = ('mmpretrain',),
) -> None:
    """All tasks of the steps, in order, as their needs are met; the
    ``libraries`` of OpenMMLab are those that they import."""
    begin = time.time()
    running: dict[str, Task] = {}
    with start_workers(workers, list(libraries)) as pool:
        while True:
            tasks = (task for step in steps for task in getattr(campaign, step)())
            # A file may be there without a record: half of it, or of a worker that died.
            unmade: set[Path] = set()
            for task in tasks:
                if len(running) >= workers or time.time() - begin > seconds:
                    break
                text = json.dumps(task.key, sort_keys=True)
                if campaign.store.get(task) is not None:
                    continue
                if task.makes is not None:
                    unmade.add(task.makes)
                if (
                    text not in running
                    and campaign.is_ready(task)
                    and campaign.begins_with(task) not in unmade
                ):
                    running[text] = task
                    pool.submit(text, task.function)
            if not running:
                break
            text, result = pool.next()
            task = running.pop(text)
            campaign.store.add(task, result)
            done(task, result)
