"""The folder that workers share: who does which run, results and failures.

Plain files in one folder, because a cluster's machines always share one, and
its file system may be one on which SQLite must not be used by several machines. A
database beside it would not spare the folder: a stage's backbone has to reach the
machine that fine-tunes it. (Of Optuna's storages only databases see that a worker has
died, after a delay; the one for a shared folder does not, and none knows that a run
needs another one. The papers' search is a random draw, which needs no sampler.)
Each step is one that every shared file system does as a whole: a hard link,
which only one of several processes can create.

    claims/KEY.N        attempt N; only its highest number counts
    results/KEY.json    the result; created once, never changed
    failures/KEY.N.txt  why attempt N failed
    runs/KEY/           checkpoints and the log of a run

Nothing is ever deleted, so no process can remove what another one has just
made. Attempt N + 1 begins where the holder of attempt N is dead. An attempt whose
process was only thought dead finds that there is a result already.
"""

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...utils.errors import OSRefusal, ValueRefusal
from ...utils.files import atomic_file
from .holder import clock, is_alive, this_process
from .node import Graph, Node

FOLDERS = ('claims', 'results', 'failures', 'runs')


@dataclass
class Claim:
    """An attempt at a run that this process makes."""

    key: str
    number: int
    path: Path
    token: str


@dataclass
class Attempt:
    """The newest attempt at a run.

    Attributes:
        number (int): Of all attempts so far.
        alive (bool): Whether its process runs.
        failure (str, optional): Why it failed, if it did.
        holder (dict): Machine and process.
    """

    number: int
    alive: bool
    failure: str | None
    holder: Mapping[str, Any]


@dataclass
class State:
    """What a store knows of a graph, by key."""

    done: set[str] = field(default_factory=set)
    attempts: dict[str, Attempt] = field(default_factory=dict)


class Store:
    """Claims and results in a folder.

    Args:
        folder (str or Path): Created if it does not exist.

    Raises:
        OSError: If the folder cannot be used, in one sentence.
        ValueError: For the address of a database.
    """

    def __init__(self, folder: str | Path) -> None:
        check_folder(str(folder))
        self.folder = Path(folder)
        self.token = uuid.uuid4().hex
        try:
            for name in FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._probe = self.folder / 'claims' / f'.{self.token}'
            self._probe.touch()
            link = self._probe.with_suffix('.link')
            os.link(self._probe, link)
            link.unlink()
            self._probe.unlink()
        except OSError as error:
            raise OSRefusal(
                f'The storage {str(folder)!r} cannot be used: {error.strerror}. '
                'Type --storage with a folder that can be written, on a file '
                'system that has hard links.'
            ) from error

    def run_folder(self, key: str) -> Path:
        """Where a run puts its files; created."""
        folder = self.folder / 'runs' / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def done(self) -> set[str]:
        """Keys of all finished runs."""
        names = os.listdir(self.folder / 'results')
        return {name[:-5] for name in names if name.endswith('.json')}

    def result(self, key: str) -> dict | None:
        """The result of a run; None if it is not finished.

        Raises:
            ValueError: If its file is damaged.
        """
        path = self.folder / 'results' / f'{key}.json'
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueRefusal(
                f"The result '{path}' is damaged ({error}). Delete this file; the "
                'command run then makes the run again.'
            ) from error

    def state(self, graph: Graph) -> State:
        """What is known of the nodes of a graph."""
        state = State(self.done() & set(graph.nodes))
        numbers = self._numbers('claims')
        failures = self._numbers('failures')
        now = None
        for key, number in numbers.items():
            if key in state.done or key not in graph.nodes:
                continue
            now = clock(self._probe) if now is None else now
            failed = failures.get(key, 0) == number
            found = self._attempt(key, number, failed, now)
            if found is not None:
                state.attempts[key] = found
        if now is not None:
            self._probe.unlink(missing_ok=True)
        return state

    def claim(self, node: Node, previous: int = 0) -> Claim | None:
        """Take a run for this process.

        Args:
            node (Node): The run.
            previous (int): Number of its attempts, whose processes are dead.

        Returns:
            Claim, optional: None if another process was first, or if there is
            a result by now.
        """
        number = previous + 1
        path = self.folder / 'claims' / f'{node.key}.{number}'
        holder = dict(this_process(), token=self.token, run=str(node))
        if not self._create(path, holder):
            return None
        if (self.folder / 'results' / f'{node.key}.json').exists():
            # Its process ended between the look at the claims and this one.
            return None
        return Claim(node.key, number, path, self.token)

    def beat(self, claim: Claim) -> None:
        """Tell the other machines that this process is alive."""
        with suppress(OSError):
            os.utime(claim.path)

    def hold(self, claim: Claim, pid: int) -> None:
        """Let a child's life count like that of this process.

        A later child takes the place of an earlier one, which has ended.
        """
        path = claim.path.with_name(f'.{claim.path.name}')
        own = path.with_name(f'{path.name}.{self.token}')
        with atomic_file(own) as file:
            json.dump(this_process(pid), file)
        os.replace(own, path)

    def finish(self, claim: Claim, result: Mapping[str, Any]) -> bool:
        """Store a result, unless there is one.

        Returns:
            bool: Whether this process was the first.
        """
        return self._create(self.folder / 'results' / f'{claim.key}.json', result)

    def fail(self, claim: Claim, text: str) -> None:
        """Say why an attempt failed."""
        path = self.folder / 'failures' / f'{claim.key}.{claim.number}.txt'
        with atomic_file(path) as file:
            file.write(text)

    def write(self, name: str, value: Any) -> Path:
        """Write a JSON file of the experiment as a whole, or replace it."""
        path = self.folder / name
        own = path.with_name(f'.{name}.{self.token}')
        with atomic_file(own) as file:
            json.dump(value, file, indent=1)
        os.replace(own, path)
        return path

    def _create(self, path: Path, value: Mapping[str, Any]) -> bool:
        """A file with its content, as one step; False if there is one."""
        own = path.with_name(f'.{path.name}.{self.token}')
        with atomic_file(own) as file:
            json.dump(value, file)
        try:
            os.link(own, path)
        except FileExistsError:
            # Over NFS a link whose reply was lost is asked for again.
            return own.stat().st_nlink == 2
        finally:
            own.unlink()
        return True

    def _numbers(self, folder: str) -> dict[str, int]:
        """The highest number of each key in a folder."""
        found: dict[str, int] = {}
        for name in os.listdir(self.folder / folder):
            key, _, number = name.removesuffix('.txt').partition('.')
            if key and number.isdigit():
                found[key] = max(found.get(key, 0), int(number))
        return found

    def _attempt(
        self, key: str, number: int, failed: bool, now: float
    ) -> Attempt | None:
        path = self.folder / 'claims' / f'{key}.{number}'
        holders = list(_holders(path, path.with_name(f'.{path.name}')))
        if not holders:
            return None
        failure = None
        if failed:
            failure = (self.folder / 'failures' / f'{key}.{number}.txt').read_text()
        beat = path.stat().st_mtime
        alive = not failed and any(is_alive(h, beat, now) for h in holders)
        return Attempt(number, alive, failure, holders[0])


def check_folder(text: str) -> None:
    """Refuse the address of a database."""
    if '://' in text:
        raise ValueRefusal(
            f'--storage {text!r} is the address of a database, but runs are kept in a '
            'folder that all machines share, with their checkpoints. Type a folder, for '
            'example --storage /shared/study.'
        )


def _holders(*paths: Path) -> Iterable[dict]:
    for path in paths:
        with suppress(FileNotFoundError):
            yield json.loads(path.read_text())
