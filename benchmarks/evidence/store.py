"""Runs by key: what is finished, what may begin, and the processes."""

import json
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

import bissl_mm
from bissl_mm.analysis.runs.workers import start_workers


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


class Store:
    """Records by key, and the folder of the backbones."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path, self.state = path, state
        state.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.records = [json.loads(line) for line in lines]
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

    def is_ready(self, task: Task) -> bool:
        """Whether what it begins with is there."""


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
            for task in tasks:
                if len(running) >= workers or time.time() - begin > seconds:
                    break
                text = json.dumps(task.key, sort_keys=True)
                if (
                    text not in running
                    and campaign.store.get(task) is None
                    and campaign.is_ready(task)
                ):
                    running[text] = task
                    pool.submit(text, task.function)
            if not running:
                break
            text, result = pool.next()
            task = running.pop(text)
            campaign.store.add(task, result)
            done(task, result)
