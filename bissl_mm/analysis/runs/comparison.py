"""Fine-tune two backbones under one budget and compare them."""

import math
import os.path as osp
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ...utils.errors import Refusal
from ..permutation_test import permutation_test
from . import fine_tune
from .arms import Arm, ArmResult, Run
from .fine_tune import Setting
from .finished_runs import FinishedRuns, run_key
from .workers import InTurn, Workers


def compare(
    cfg: Config,
    checkpoints: Mapping[str, str | Sequence[str]],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    work_dir: str,
    metric: str = 'accuracy/top1',
    step: Callable[[str], None] = lambda text: None,
    inspect: Callable[[str, int, Runner], None] | None = None,
    resume: bool = False,
    workers: Workers | InTurn | None = None,
) -> dict:
    """Fine-tune every arm: a search, then final runs over seeds.

    All arms choose from the same settings and use the same seeds. The choice
    is made on the validation data, by one run per setting with seed 0. The runs
    of all arms are executed in parallel. The outcome does not depend on which
    run ends first.

    Args:
        cfg (Config): Fine-tuning config.
        checkpoints (dict[str, str or Sequence[str]]): Backbone of each arm by
            the arm's name. With several backbones, the search uses the first,
            and the final seeds are divided among all of them, in order.
        settings (Sequence[Setting]): Settings of the search.
        seeds (Sequence[int]): Seeds of the final runs.
        work_dir (str): Folder of the logs.
        metric (str): Metric to compare.
        step (Callable): Called after every run with a line about it.
        inspect (Callable, optional): Called with arm, seed and runner after
            the test of each final run, in the process of that run. So it has
            to be a function of a module, and it has to write its results to
            files.
        resume (bool): Take the runs that an interrupted comparison finished
            (same config, checkpoint and setting) from ``runs.jsonl`` in
            ``work_dir``. Defaults to False.
        workers (Workers, optional): Processes for the runs. Defaults to
            None: they run one after another in this process.

    Returns:
        dict: ``arms`` (list of :meth:`ArmResult.to_dict`). For two arms also
        ``difference`` of the means (second minus first), ``p_value``, and
        ``test``, which says how it was computed. If there is no p value, it is
        None and ``no_p_value`` says why.

    Raises:
        Exception: The exception of the first run that fails, with arm, setting
            and seed before its message. Finished runs are kept.
    """
    finished = FinishedRuns(osp.join(work_dir, 'runs.jsonl'), resume)
    pool = InTurn() if workers is None else workers
    queue = _Queue(cfg, work_dir, metric, inspect, finished, pool)
    arms = [
        Arm(name, [found] if isinstance(found, str) else found, settings, list(seeds))
        for name, found in checkpoints.items()
    ]
    for arm in arms:
        for run in arm.search:
            queue.start(run, final=False)
    for run, result in queue.results():
        step(_line(run, result))
        for other in run.arm.take(run, result):
            queue.start(other, final=True)
    return _outcome(metric, [arm.result() for arm in arms])


class _Queue:
    """Runs of :func:`compare`, whose arguments it takes. A run that was finished
    before is not repeated."""

    def __init__(
        self,
        cfg: Config,
        work_dir: str,
        metric: str,
        inspect: Callable[[str, int, Runner], None] | None,
        finished: FinishedRuns,
        pool: Workers | InTurn,
    ) -> None:
        self.cfg, self.work_dir, self.metric = cfg, work_dir, metric
        self.inspect, self.finished, self.pool = inspect, finished, pool
        self._known: deque[tuple[Run, dict]] = deque()

    def start(self, run: Run, final: bool) -> None:
        """Have a run executed, with its test if it is a final one."""
        # A run without ``inspect`` cannot replace a run that needs it.
        options: dict[str, Any] = dict(test=False)
        if final:
            inspect = self.inspect and partial(self.inspect, run.arm.name, run.seed)
            options = dict(inspect=inspect)
        run.key = run_key(
            self.cfg,
            run.checkpoint,
            asdict(run.setting),
            run.seed,
            self.metric,
            sorted(options),
        )
        if run.key in self.finished.results:
            self._known.append((run, self.finished.results[run.key]))
            return
        function = partial(fine_tune.timed_fine_tune, **options)
        folder = osp.join(self.work_dir, run.arm.name)
        of_run = (self.cfg, run.checkpoint, run.setting, run.seed)
        self.pool.submit(run, function, *of_run, folder, self.metric)

    def results(self) -> Iterator[tuple[Run, dict]]:
        """Runs that have ended, until none is left. More may be started
        meanwhile."""
        while self._known or len(self.pool):
            if self._known:
                yield self._known.popleft()
            else:
                run, result = self.pool.next()
                self.finished.add(run.key, result)
                yield run, result


def _line(run: Run, result: dict) -> str:
    if 'test' in result:
        return f'{run.arm.name}: seed {run.seed}, test {result["test"]:.1f}'
    return f'{run.arm.name}: search, val {result["val"]:.1f}'


def _outcome(metric: str, arms: list[ArmResult]) -> dict:
    found = [arm.to_dict() for arm in arms]
    outcome: dict[str, Any] = dict(metric=metric, arms=found)
    if len(arms) == 2:
        outcome.update(difference(metric, *found))
    return outcome


def difference(metric: str, first: dict, second: dict) -> dict:
    """How far one arm is ahead of another, and how likely that is by chance.

    It raises no error, because all training would be lost.

    Args:
        metric (str): Metric of the comparison.
        first (dict): Result of :meth:`ArmResult.to_dict` for one arm.
        second (dict): The same for the arm that may be ahead.

    Returns:
        dict: ``difference`` of the means, ``p_value`` and ``test``. If there is
        no p value, it is None and ``no_p_value`` says why.
    """
    found = dict(difference=second['mean'] - first['mean'])
    for arm in (first, second):
        if arm['setting'] is None:
            return dict(
                found,
                p_value=None,
                no_p_value=(
                    f'no setting of the search gave arm {arm["name"]} a number '
                    f'for {metric}. Lower the learning rates (--lr).'
                ),
            )
        for seed, value in zip(arm['seeds'], arm['test'], strict=True):
            if not math.isfinite(value):
                return dict(
                    found,
                    p_value=None,
                    no_p_value=(
                        f'{metric} of arm {arm["name"]}, seed {seed}, is {value}. '
                        'Check that run, or lower the learning rates (--lr).'
                    ),
                )
    try:
        test = permutation_test(first['test'], second['test'])
    except Refusal as refusal:
        return dict(found, p_value=None, no_p_value=str(refusal))
    return dict(found, p_value=test.p_value, test=str(test))
