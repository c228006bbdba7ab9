"""Runs the stages of a demo."""

import os.path as osp
import time
from collections.abc import Callable
from functools import partial
from glob import glob
from itertools import product

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import mkdir_or_exist
from tqdm import tqdm

from ...engine.checks.data_look import check_data, console_logger
from ...engine.launch import build_runner
from ...utils.files import atomic_file
from ...utils.operators import check_compiled_operators
from ..runs.arms import draw_settings
from ..runs.comparison import compare
from ..runs.workers import InTurn, Workers, start_workers
from .configs import DemoConfigs
from .data import QUICK
from .results import with_stages
from .stages import Stage
from .tasks import ARMS, NUM_STAGES, DemoTask

#: Names of the stage folders of each arm that has stages.
FOLDERS = {ARMS[1]: 'twice', ARMS[2]: 'bissl'}
EXPORTED = 'backbone.pth'


class Demo:
    """One run of a demo. A finished stage is not run again.

    Args:
        task (DemoTask): The task of the demo.
        configs (str): Folder of the configs.
        work_dir (str): Folder of the results and of the data.
        quick (bool): Whether to run only a few steps of everything.

    Raises:
        ValueError: If ``work_dir`` has stages with other settings.
        RuntimeError: If the task needs compiled operators that are missing.
    """

    def __init__(
        self, task: DemoTask, configs: str, work_dir: str, quick: bool
    ) -> None:
        self.task = task
        self.work_dir = work_dir
        self.quick = quick
        self.seconds: dict[str, float | None] = {}
        self.resumed: list[str] = []
        self.data = task.data(osp.join(work_dir, 'data'))
        self.configs = DemoConfigs(task, configs, self.data, quick)
        self.counts = dict(self.data.counts)
        if quick:
            self.counts.update(
                {
                    part: min(number, self.counts[part])
                    for part, number in QUICK.items()
                    if part != 'pretext'
                }
            )
        self._make_stages()

    def _make_stages(self) -> None:
        pretext = self.configs.pretraining()
        pretrained = osp.join(
            self.work_dir, 'pretext', f'epoch_{pretext.train_cfg.max_epochs}.pth'
        )
        self.stages = dict(pretext=self._stage('pretext', pretext))
        self.checkpoints: dict[str, list[str]] = {ARMS[0]: [pretrained]}
        for arm, number in product(FOLDERS, self.stage_numbers):
            name = f'{FOLDERS[arm]}-{number}'
            cfg = self.configs.stage(arm, number, pretrained)
            self.stages[name] = self._stage(name, cfg, self.stages['pretext'])
            self.checkpoints.setdefault(arm, []).append(
                osp.join(self.work_dir, name, EXPORTED)
            )
        fine_tuning = self.configs.fine_tuning()
        if self.data.is_own:
            # The runs do not check the data again.
            check_data(fine_tuning, ('train', 'val', 'test'), console_logger())
        self.stages['fine_tune'] = self._stage(
            'fine_tune', fine_tuning, *self.stages.values()
        )

    def _stage(self, name: str, cfg: Config, *before: Stage) -> Stage:
        check_compiled_operators(cfg)
        stage = Stage(osp.join(self.work_dir, name), cfg, self.work_dir, *before)
        stage.check()
        return stage

    @staticmethod
    def folders() -> list[str]:
        """Names of all stage folders in the work folder."""
        return [
            'pretext',
            'fine_tune',
            *(
                f'{folder}-{number}'
                for folder in FOLDERS.values()
                for number in range(1, NUM_STAGES + 1)
            ),
        ]

    @property
    def stage_numbers(self) -> range:
        """Numbers of the stages, which are also their seeds."""
        return range(1, self.num_stages + 1)

    @property
    def num_stages(self) -> int:
        """Number of stages of each arm that has stages."""
        return 2 if self.quick else NUM_STAGES

    @property
    def budget(self) -> dict:
        """Search budget of the task; in a quick run the smallest possible."""
        least = dict(settings=1, seeds=1) if self.quick else {}
        return {**self.task.budget, **least}

    def workers(self, number: int) -> Workers | InTurn:
        """Processes for stages and fine-tuning; none if all is finished."""
        if self.stages['fine_tune'].finished:
            return InTurn()
        budget = self.budget
        runs = len(ARMS) * max(budget['settings'], self.num_stages * budget['seeds'])
        scopes = {'mmpretrain', self.stages['fine_tune'].cfg.default_scope}
        return start_workers(min(number, runs), sorted(scopes))

    def run_pretext(self) -> None:
        """Stage 1."""
        stage, label = self.stages['pretext'], '1 pretraining'
        if self._is_done('pretext', self.checkpoints[ARMS[0]][0], label):
            return
        begin = time.time()
        cfg = _quiet(stage.cfg)
        cfg.custom_hooks = cfg.get('custom_hooks', []) + [
            dict(type='bissl_mm.ProgressBarHook', name=label)
        ]
        run_stage(cfg, stage.folder)
        stage.finish(time.time() - begin)

    def run_stages(self, workers: Workers | InTurn) -> None:
        """Run stages 2 and 3 of the arms that have them, in parallel."""
        label = '2+3 stages'
        with tqdm(
            total=len(FOLDERS) * self.num_stages, desc=label, dynamic_ncols=True
        ) as bar:
            for arm, number in product(reversed(FOLDERS), self.stage_numbers):
                name = f'{FOLDERS[arm]}-{number}'
                stage = self.stages[name]
                if self._is_done(name, osp.join(stage.folder, EXPORTED)):
                    bar.update()
                else:
                    # A problem of one stage is one of all, so it is shown once.
                    said = number > 1 or arm != ARMS[-1]
                    workers.submit(
                        name, run_stage, _quiet(stage.cfg, said), stage.folder
                    )
            while len(workers):
                name, seconds = workers.next()
                self.stages[name].finish(seconds)
                bar.update()
                bar.set_postfix_str(f'{name} done')

    def run_comparison(self, workers: Workers | InTurn) -> dict:
        """Run stage 4 of all arms.

        Returns:
            dict: The result of
            :func:`~bissl_mm.analysis.demo.results.with_stages`, with
            ``budget``.
        """
        budget, stage = self.budget, self.stages['fine_tune']
        settings = draw_settings(
            budget['settings'], budget['lr'], budget['weight_decay'], seed=0
        )
        seeds = list(range(1, budget['seeds'] * self.num_stages + 1))
        begin = time.time()
        if stage.begun:
            self.resumed.append('fine_tune')
        else:
            stage.begin()
        show = self.task.show and partial(_keep_pictures, self.task.show, stage.folder)
        with tqdm(
            total=len(ARMS) * (len(settings) + len(seeds)),
            desc='4 fine-tuning',
            dynamic_ncols=True,
        ) as bar:

            def step(text: str) -> None:
                bar.update()
                bar.set_postfix_str(text)

            outcome = compare(
                stage.cfg,
                self.checkpoints,
                settings,
                seeds,
                stage.folder,
                self.task.metric,
                step,
                show,
                resume=True,
                workers=workers,
            )
        if not stage.finished:
            stage.finish(time.time() - begin)
        return dict(with_stages(outcome, self.num_stages), budget=budget)

    def note_seconds(self) -> None:
        """Note how long each finished stage took in its process."""
        for name, stage in self.stages.items():
            self.seconds[name] = stage.seconds

    def pictures(self) -> list[tuple[str, np.ndarray]]:
        """Rows of test pictures: the ground truth, then each arm's predictions."""
        rows = []
        for arm in self.checkpoints:
            path = _pictures_path(self.stages['fine_tune'].folder, arm)
            if osp.isfile(path):
                with np.load(path) as kept:
                    if not rows:
                        rows.append(('truth', kept['truth']))
                    rows.append((arm, kept['predicted']))
        return rows

    def _is_done(self, name: str, result: str, label: str = '') -> bool:
        """Whether a stage is finished. If not, it is marked as started."""
        stage = self.stages[name]
        done = stage.finished and osp.isfile(result)
        if done or stage.begun:
            self.resumed.append(name)
            if label:
                how = 'finished earlier, read from' if done else 'continues in'
                print(f'{label}: {how} {stage.folder}', flush=True)
        if not done:
            stage.begin()
        return done


def run_stage(cfg: Config, folder: str) -> float:
    """Run a stage in a folder, or continue it.

    Returns:
        float: Its time in seconds.
    """
    begin = time.time()
    # mmengine logs a line if there is nothing to resume from.
    cfg.work_dir, cfg.resume = folder, bool(glob(osp.join(folder, '*.pth')))
    # mmengine's default name is the second in which a run starts.
    cfg.experiment_name = f'{osp.basename(folder)}_{time.time_ns()}'
    build_runner(cfg).train()
    return time.time() - begin


def _quiet(cfg: Config, without_warnings: bool = False) -> Config:
    """The config of a stage, without log lines."""
    cfg = cfg.copy()
    cfg.launcher = 'none'
    cfg.log_level = 'ERROR' if without_warnings else 'WARNING'
    return cfg


def _pictures_path(folder: str, arm: str) -> str:
    name = arm.replace('+', '_').replace(' ', '_')
    return osp.join(folder, f'pictures_{name}.npz')


def _keep_pictures(
    show: Callable, folder: str, arm: str, seed: int, runner: Runner
) -> None:
    """Save pictures of the first seed's predictions."""
    if seed != 1:
        return
    truth, predicted = show(runner)
    mkdir_or_exist(folder)
    with atomic_file(_pictures_path(folder, arm), 'wb') as file:
        np.savez(file, truth=np.stack(truth), predicted=np.stack(predicted))
