"""The downstream tasks of an experiment: shipped ones, and sets of one's own."""

import difflib
import os.path as osp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...config.tasks import find_slot
from ...utils.check import check_mapping
from ...utils.errors import TypeRefusal, ValueRefusal
from .setting import Setting

_TASK = ('like', 'stage', 'fine_tune')


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        name (str): For the report.
        like (str): The shipped task, as ``--task`` names it.
        stage, fine_tune (dict): Options by dotted key for the config of the
            bilevel stage and for that of fine-tuning: folders, classes, epochs.
    """

    name: str
    like: str
    stage: Mapping[str, Any] = field(default_factory=dict)
    fine_tune: Mapping[str, Any] = field(default_factory=dict)

    def of_fine_tuning(
        self, setting: Setting, own: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Config, task and options of fine-tuning.

        Args:
            setting (Setting): Whose options those of the task replace.
            own (dict, optional): An arm's, which replace both.
        """
        given = setting.options.get('fine_tune', {})
        options = {**given, **self.fine_tune, **(own or {})}
        return dict(config=setting.fine_tune, task=self.like, options=options)

    def of_stage(self, setting: Setting, own: Mapping[str, Any]) -> dict[str, Any]:
        """The same of the bilevel stage."""
        assert setting.bilevel is not None
        options = {**setting.options.get('bilevel', {}), **self.stage, **own}
        return dict(config=setting.bilevel, task=self.like, options=options)


def read_tasks(path: str, given: Any, settings: Sequence[Setting]) -> list[Task]:
    """The tasks of an experiment file.

    Args:
        path (str): The experiment file, for messages.
        given (list or dict): Names of shipped tasks, or a dict: name -> dict with
            ``like`` (the shipped task; by default the name) and options by dotted
            key (``stage``, ``fine_tune``).
        settings (Sequence[Setting]): Whose configs take the tasks.

    Raises:
        TypeError: For a value of another type, or an unknown key.
        ValueError: For a task that a config does not take.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        tasks = [_own_task(path, name, own) for name, own in given.items()]
    elif isinstance(given, (list, tuple)) and all(isinstance(n, str) for n in given):
        tasks = [Task(name, name) for name in given]
    else:
        raise TypeRefusal(
            f'{path}: tasks must be a list of names or a dict, but is {given!r}. '
            "Write for example ['pets', 'dtd']."
        )
    for setting in settings:
        for task in tasks:
            _check_taken(path, task, setting)
    return tasks


def _own_task(path: str, name: str, own: Any) -> Task:
    place = f'{path}: tasks[{name!r}]'
    own = check_mapping(place, own, _TASK)
    for level, options in own.items():
        if level != 'like' and not isinstance(options, Mapping):
            raise TypeRefusal(
                f'{place}: {level} must be a dict of options, but is {options!r}. '
                "Write {'train_dataloader.batch_size': 50} with your own keys."
            )
    return Task(name, **{'like': name, **own})


def _check_taken(path: str, task: Task, setting: Setting) -> None:
    slot = find_slot(setting.fine_tune)
    known = slot.tasks() if slot else []
    if task.like in known:
        return
    near = difflib.get_close_matches(str(task.like), known, 1, 0.0)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    raise ValueRefusal(
        f'{path}: task {task.like!r} is none that '
        f'{osp.basename(setting.fine_tune)} takes.{hint} It takes '
        f'{", ".join(known)}.'
    )
