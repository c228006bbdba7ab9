"""The commands of ``tools/experiment.py``."""

import ast
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..analysis.runs.workers import check_workers, default_number
from ..datasets.folders import check_data_folders
from ..utils.errors import RuntimeRefusal
from .definition.experiment import read_experiment
from .queue.node import digest
from .queue.pool import run_graph
from .queue.store import Store, check_folder
from .report.status import failure_lines, plan_lines, status_lines
from .runs.execute import execute
from .runs.gpus import devices_of, notes_of_gpus
from .runs.graph import Builder
from .runs.hours import Hours, left_line
from .runs.listed import check_listed
from .runs.own_config import read_own


class Session:
    """An experiment and its storage.

    Args:
        path (str): Experiment file.
        storage (str): Folder that all workers share.
        preset (str, optional): ``'small'``.
        options (dict, optional): As typed after ``--cfg-options``.
        workers (int, optional): Processes. Defaults to one for each GPU or core.
        timed (bool): Whether ``plan`` times a few steps. Defaults to False.

    Raises:
        ValueError: For fewer than one worker, or what :func:`~.read_experiment` refuses.
    """

    def __init__(
        self,
        path: str,
        storage: str,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        workers: int | None = None,
        timed: bool = False,
    ) -> None:
        check_folder(storage)
        if workers is not None:
            check_workers(workers)
        values = {key: _value(text) for key, text in (options or {}).items()}
        self.experiment = read_experiment(path, preset, values)
        self.builder = Builder(self.experiment)
        self.graph = self.builder.graph()
        self.storage, self.workers, self.timed = storage, workers, timed

    def do(self, command: str) -> None:
        """Execute a command by its name."""
        getattr(self, command)()

    def plan(self) -> None:
        """Print the graph. Writes nothing."""
        store = self._existing()
        measured = None
        if self.timed:
            from .runs.timing import measure

            self._check_data()
            measured = measure
        hours = Hours(self.graph, store, measured)
        lines = plan_lines(self.experiment, self.graph, store, hours)
        for line in [*lines, *notes_of_gpus(self.graph, self._number())]:
            print(line)

    def run(self) -> None:
        """Execute what is not done.

        Raises:
            FileNotFoundError: If data are missing; before anything is written.
            RuntimeError: If runs failed.
        """
        self._check_data()
        store = Store(self.storage)
        store.write(
            f'{self.experiment.name}-graph.json',
            [node.to_dict() for node in self.graph],
        )
        number = self._number()
        for line in notes_of_gpus(self.graph, number):
            print(line)
        begin = time.time()
        with tqdm(
            total=len(self.graph), unit='run', dynamic_ncols=True, disable=None
        ) as bar:

            def progress(done: int, text: str) -> None:
                bar.update(done - bar.n)
                if text:
                    tqdm.write(text)

            left = run_graph(
                store,
                self.graph,
                execute,
                number,
                partial(devices_of, number=number),
                progress,
            )
        for line in failure_lines(self.graph, store, left):
            print(line)
        if left.failed:
            raise RuntimeRefusal(
                f'{len(left.failed)} runs failed and {len(left.lost)} need them. The '
                'others are kept. Correct the cause and type the same command.'
            )
        spent = Hours(self.graph, store).spent()
        print(
            f'{len(self.graph)} runs done in {(time.time() - begin) / 3600:.2f} hours '
            f'by {number} workers, {spent:.2f} hours of runs in all. {self.storage}'
        )

    def status(self) -> None:
        """Print progress, failures and the time left. Writes nothing."""
        store = self._existing()
        if store is None:
            print(f'Nothing has been run yet in {self.storage}.')
            return
        for line in status_lines(self.graph, store):
            print(line)
        print(left_line(self.graph, store))

    def report(self) -> None:
        """Write Markdown, HTML and JSON."""
        from .report.pages import write_reports

        store = self._existing()
        if store is None:
            raise RuntimeRefusal(
                f'{self.storage} has no results. Type the command run first.'
            )
        cells = self.builder.cells
        for path in write_reports(self.experiment, cells, self.graph, store):
            print(path)

    def _number(self) -> int:
        return default_number() if self.workers is None else self.workers

    def _existing(self) -> Store | None:
        """The storage, if there is one: looking creates none."""
        return Store(self.storage) if Path(self.storage).exists() else None

    def _check_data(self) -> None:
        """Refuse missing data, each config with its options once."""
        seen = set()
        for node in self.graph:
            spec = node.spec
            which = (spec['config'], spec['task'], digest(spec['options']))
            if which not in seen:
                seen.add(which)
                cfg = read_own({**spec, 'small': None})
                check_data_folders(cfg, ['pretext', 'train', 'val', 'test'])
                check_listed(cfg)


def _value(text: Any) -> Any:
    """A typed value: a Python literal, or names in brackets, or text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        text = str(text)
    if text[:1] == '[' and text[-1:] == ']':
        return [part.strip() for part in text[1:-1].split(',') if part.strip()]
    return text
