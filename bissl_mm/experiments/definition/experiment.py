"""Reads an experiment file."""

import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from ...config.environment import variables_as_data
from ...utils.check import check_known_keys, check_mapping, check_positive_int
from ...utils.errors import FileNotFoundRefusal, ValueRefusal
from .arms import Arm, read_arms
from .search import read_search
from .setting import Setting, read_settings
from .tasks import Task, read_tasks

#: Keys of an experiment file.
KEYS = (
    'title',
    'settings',
    'tasks',
    'arms',
    'vary',
    'search',
    'seeds',
    'stages',
    'processes',
    'report',
    'hours',
)
_VARY = ('name', 'labels', 'arms', 'stage', 'fine_tune', 'pretext')
_REPORT = ('published', 'kind', 'note')
_PROCESSES = ('pretrain', 'stage')
#: Test results as a table, or over the values that vary; backbones beside what
#: fine-tuning makes of them; their test features; device hours.
REPORTS = ('table', 'figure', 'alignment', 'features', 'time')


@dataclass(frozen=True)
class Vary:
    """What varies: a name and, for each level, values by dotted key.

    The values of all keys belong together: the first of each, and so on. ``labels``
    of a file replaces the values of the first key in the report. ``arms`` are those
    that vary; None for all.
    """

    name: str = ''
    values: tuple[Any, ...] = (None,)
    options: tuple[Mapping[str, Mapping[str, Any]], ...] = ({},)
    arms: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment file, checked.

    Attributes:
        name (str): Name of the file.
        title (str): What it reproduces.
        settings (list[Setting]): Pretext tasks and networks.
        tasks (list[Task]): Downstream tasks.
        arms (list[Arm]): What is compared.
        vary (Vary): What varies.
        search (dict): See :func:`~.search.read_search`.
        seeds (int, optional): Final runs; None for the task's number.
        stages (int): Bilevel stages of each arm, among which the seeds are
            divided. The papers have one.
        processes (dict): By stage, processes of a run.
        report (dict): ``published`` (key in ``published.yaml``), ``kind`` (one
            of :data:`REPORTS`), ``note``.
        hours (str): What the papers say of the time, for the table of
            experiments.
        preset (str, optional): ``'small'``.
    """

    name: str
    title: str
    settings: list[Setting]
    tasks: list[Task]
    arms: list[Arm]
    vary: Vary
    search: Mapping[str, Any]
    seeds: int | None
    stages: int
    processes: Mapping[str, int]
    report: Mapping[str, Any]
    hours: str
    preset: str | None = None


def read_experiment(
    path: str, preset: str | None = None, options: Mapping[str, Any] | None = None
) -> Experiment:
    """Read and check an experiment file.

    Args:
        path (str): The file. Paths of configs in it are relative to it.
        preset (str, optional): ``'small'`` reduces networks, steps and search.
        options (dict, optional): Values in the place of those of the file, by
            dotted key.

    Raises:
        FileNotFoundError: If there is no such file, or no such config.
        TypeError: For a key that does not exist.
        ValueError: For a value that cannot be, such as a misspelt task.
    """
    cfg = _read(path)
    # A name that begins with _ is the file's own.
    check_known_keys(path, [key for key in cfg if key[0] != '_'], KEYS)
    if options:
        check_known_keys(
            '--cfg-options', [key.partition('.')[0] for key in options], KEYS
        )
        cfg.merge_from_dict(dict(options))
    given = cfg.to_dict()
    for key in ('settings', 'tasks', 'arms'):
        if not given.get(key):
            raise ValueRefusal(f'{path}: {key} is missing. Write it in the file.')
    settings = read_settings(path, given['settings'])
    tasks = read_tasks(path, given['tasks'], settings)
    stages, processes = _numbers(path, given)
    search = read_search(path, given.get('search'), stages)
    report = check_mapping(f'{path}: report', given.get('report'), _REPORT)
    report.setdefault('kind', 'table')
    arms = read_arms(given['arms'], path)
    names = [task.name for task in tasks]
    for arm in arms:
        check_known_keys(f'{path}: arms[{arm.name!r}].tasks', arm.tasks or (), names)
    vary = _vary(path, given.get('vary'), arms)
    _check_parts(path, settings, arms, vary)
    _check_report(path, report['kind'], arms)
    return Experiment(
        osp.splitext(osp.basename(path))[0],
        str(given.get('title', '')),
        settings,
        tasks,
        arms,
        vary,
        search,
        given.get('seeds'),
        stages,
        processes,
        report,
        str(given.get('hours', '')),
        preset,
    )


def _numbers(path: str, given: Mapping[str, Any]) -> tuple[int, dict[str, int]]:
    """Stages of each arm, and processes by stage; seeds are checked, too."""
    where = f'{path}: processes'
    processes = check_mapping(where, given.get('processes'), _PROCESSES)
    processes = {key: n for key, n in processes.items() if n is not None}
    stages = 1 if given.get('stages') is None else given['stages']
    for key, number in dict(seeds=given.get('seeds'), stages=stages).items():
        if number is not None:
            check_positive_int(path, key, number)
    for key, number in processes.items():
        check_positive_int(where, key, number)
    return stages, processes


def _read(path: str) -> Config:
    if not osp.isfile(path):
        raise FileNotFoundRefusal(
            f'Experiment {path!r} does not exist. Type one of configs/experiments.'
        )
    try:
        with variables_as_data():
            return Config.fromfile(path)
    except Exception as error:
        text = ' '.join(str(error).split())
        raise ValueRefusal(
            f'Experiment {path!r} cannot be read: {type(error).__name__}: {text}. '
            'Correct the file.'
        ) from error


def _vary(path: str, given: Any, arms: list[Arm]) -> Vary:
    given = check_mapping(f'{path}: vary', given, _VARY)
    if not given:
        return Vary()
    name, labels = given.pop('name', ''), given.pop('labels', None)
    varied = given.pop('arms', None)
    check_known_keys(f'{path}: vary.arms', varied or (), [arm.name for arm in arms])
    lists = [
        (level, key, values)
        for level, keys in given.items()
        for key, values in _lists(f'{path}: vary.{level}', keys).items()
    ]
    numbers = {len(values) for _, _, values in lists}
    if labels is not None:
        numbers.add(len(_lists(f'{path}: vary', dict(labels=labels))['labels']))
    if len(numbers) != 1 or not lists:
        raise ValueRefusal(
            f'{path}: vary needs one list of values for each key, all of the same '
            f'length, but the lengths are {sorted(numbers) or "none"}.'
        )
    options = []
    for i in range(numbers.pop()):
        found: dict[str, dict] = {}
        for level, key, values in lists:
            found.setdefault(level, {})[key] = values[i]
        options.append(found)
    return Vary(
        name or lists[0][1],
        # Texts of values that no cell can be found by, such as lists and None.
        tuple(
            value if isinstance(value, (str, int, float)) else str(value)
            for value in labels or lists[0][2]
        ),
        tuple(options),
        None if varied is None else tuple(varied),
    )


def _lists(where: str, given: Any) -> Mapping[str, Any]:
    """Refuse what is not a list of values for each key."""
    if isinstance(given, Mapping) and all(
        isinstance(values, (list, tuple)) for values in given.values()
    ):
        return given
    raise ValueRefusal(
        f'{where} needs a list of values for each key, but is {given!r}. Write for '
        "example {'train_cfg.num_alternations': [100, 200]}."
    )


def _check_parts(
    path: str, settings: list[Setting], arms: list[Arm], vary: Vary
) -> None:
    """Refuse an arm for which a setting lacks a config or a file."""
    for setting in settings:
        for arm in arms:
            needs = ['bilevel'] * (arm.source == 'stage')
            if arm.source in ('pretraining', 'continued') or _has_pretext(arm, vary):
                needs.append('pretext')
            missing = [key for key in needs if getattr(setting, key) is None]
            needs_start = arm.source in ('pretrained', 'stage', 'continued')
            if needs_start and setting.pretext is None and setting.pretrained is None:
                missing.append('pretext (a config) or pretrained (a file)')
            if missing:
                raise ValueRefusal(
                    f'{path}: arm {arm.name!r} has no checkpoint to start from: the '
                    f'setting lacks {" and ".join(missing)}. Write it in settings.'
                )
    for arm in arms:
        if arm.checkpoint is not None and not osp.isfile(arm.checkpoint):
            raise FileNotFoundRefusal(
                f'{path}: arms[{arm.name!r}]: checkpoint {arm.checkpoint!r} does not '
                'exist. Correct the path.'
            )


def _has_pretext(arm: Arm, vary: Vary) -> bool:
    """Whether options give an arm a pretraining of its own."""
    varies = vary.arms is None or arm.name in vary.arms
    given = arm.pretext or varies and any(own.get('pretext') for own in vary.options)
    return bool(given) and arm.source in ('pretrained', 'stage')


def _check_report(path: str, kind: str, arms: list[Arm]) -> None:
    """Refuse an unknown kind, and one that the arms have nothing for."""
    if kind not in REPORTS:
        raise ValueRefusal(
            f'{path}: report.kind is {kind!r}. Write one of {", ".join(REPORTS)}.'
        )
    for arm in arms:
        if kind in ('alignment', 'features') and arm.source == 'random':
            raise ValueRefusal(
                f'{path}: arm {arm.name!r} starts from no backbone, so report.kind '
                f'{kind!r} has nothing to show of it. Leave the arm out.'
            )
