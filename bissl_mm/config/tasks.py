"""The task of a config: the base that ``--task`` replaces.

A config has ``tasks/{{$BISSL_TASK:pets}}.py`` among its bases. mmengine puts the
environment variable in before it reads the bases. So the variable alone is enough
to choose the task with OpenMMLab's own tools.
"""

import ast
import difflib
import os
import os.path as osp
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..utils.errors import ValueRefusal
from .sources import Source, read_sources

#: Environment variable with the name of the task.
TASK = 'BISSL_TASK'
#: Environment variable with the file that fine-tuning starts from.
CHECKPOINT = 'BISSL_CHECKPOINT'
_SLOT = re.compile(r'[\'"]([^\'"\n]*)\{\{\s*\$BISSL_TASK\s*:\s*(\S*?)\s*\}\}\.py[\'"]')


@dataclass(frozen=True)
class TaskSlot:
    """The place in a config that takes a task.

    Attributes:
        folder (str): Folder with the files of the tasks.
        default (str): Name of the task without ``--task``.
        network (str, optional): Name of the config's network.
    """

    folder: str
    default: str
    network: str | None

    def tasks(self) -> list[str]:
        """Names of the tasks that fit the network, sorted.

        ``networks`` in the file of a task lists the networks that it fits. A
        task without that list fits all networks.
        """
        names = [
            osp.splitext(name)[0]
            for name in sorted(os.listdir(self.folder))
            if name.endswith('.py') and not name.startswith('_')
        ]
        return [name for name in names if self.takes(name)]

    def takes(self, name: str) -> bool:
        """Whether this task exists and fits the network."""
        path = osp.join(self.folder, f'{name}.py')
        if osp.basename(name) != name or not osp.isfile(path):
            return False
        networks = _literal(read_sources(path), 'networks')
        return self.network is None or networks is None or self.network in networks


def find_slot(path: str) -> TaskSlot | None:
    """The place of the task in a config or in one of its bases.

    Args:
        path (str): The file.

    Returns:
        TaskSlot, optional: None if the config has no task to exchange.
    """
    top = read_sources(path)
    for source in top.chain():
        if not osp.isfile(source.path):
            continue
        with open(source.path, encoding='utf-8') as file:
            found = _SLOT.search(file.read())
        if found:
            folder = osp.join(osp.dirname(source.path), found.group(1))
            folder = osp.normpath(folder)
            if osp.isdir(folder):
                name = next(filter(None, map(_network, top.chain())), None)
                return TaskSlot(folder, found.group(2), name)
    return None


def choose_task(path: str, task: str | None = None) -> str | None:
    """The task that a config is read with.

    Args:
        path (str): The config.
        task (str, optional): The value of ``--task``. Defaults to None: the
            environment variable's task, or else the config's default.

    Returns:
        str, optional: None for a config without a task.

    Raises:
        ValueError: If the config takes no task, or does not take this one.
    """
    slot = find_slot(path)
    if slot is None:
        if task is None:
            return None
        written = _literal(read_sources(path), 'task')
        raise ValueRefusal(
            f'--task {task}: config {path!r} '
            + (
                f'was written out with the task {written!r}. '
                if written
                else 'has no task to exchange. '
            )
            + 'Leave --task out, or name a config of configs/bissl or '
            'configs/fine_tune.'
        )
    name = os.environ.get(TASK) or slot.default if task is None else task
    if not slot.takes(name):
        given = f'{TASK}={name}' if task is None else f'--task {name or repr(name)}'
        near = difflib.get_close_matches(name, slot.tasks(), 1, 0.5)
        raise ValueRefusal(
            f'{given}: config {path!r} does not take this task. '
            + (f'Did you mean {near[0]!r}? ' if near else '')
            + f'It takes {", ".join(slot.tasks())}. Type --task with one of them.'
        )
    return name


@contextmanager
def task_in_environment(task: str | None) -> Iterator[None]:
    """Inside, mmengine reads configs with a task; the variable is restored."""
    before = os.environ.get(TASK)
    if task is not None:
        os.environ[TASK] = task
    try:
        yield
    finally:
        if task is not None:
            del os.environ[TASK]
            if before is not None:
                os.environ[TASK] = before


def default_folder(cfg: Any, path: str) -> str:
    """The work folder of a run without ``--work-dir``.

    Runs on different tasks, or from different checkpoints, have different
    folders.

    Args:
        cfg (Config): The config.
        path (str): Its file.
    """
    name = osp.splitext(osp.basename(path))[0]
    if cfg.get('task'):
        name += f'_{cfg.task}'
    checkpoint = cfg.env_variables.get(CHECKPOINT)
    if checkpoint:
        stem = osp.splitext(osp.basename(checkpoint))[0]
        folder = osp.basename(osp.dirname(osp.abspath(checkpoint)))
        name += f'_from-{folder}' + f'-{stem}' * (stem != 'backbone')
    return osp.join('work_dirs', name)


def _network(source: Source) -> str | None:
    """The name in ``network=dict(name=...)`` of a file."""
    call = _assigned(source, 'network')
    for keyword in getattr(call, 'keywords', ()):
        if keyword.arg == 'name' and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


def _literal(source: Source, name: str) -> Any:
    """The value of a top-level name, if it is written as a literal."""
    value = _assigned(source, name)
    try:
        return None if value is None else ast.literal_eval(value)
    except (ValueError, TypeError):
        return None


def _assigned(source: Source, name: str) -> ast.expr | None:
    for node in source.tree.body if source.tree else ():
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name
            for target in node.targets
        ):
            return node.value
    return None
