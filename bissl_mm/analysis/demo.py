"""The stages of the demos, one after another."""

import os
import os.path as osp
import time
from dataclasses import dataclass
from functools import partial
from typing import Callable, Dict, List, Tuple, Union

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import mkdir_or_exist
from tqdm import tqdm

from ..config import read_config
from ..datasets import LevelStream
from ..engine.launch import build_runner
from ..utils.operators import check_compiled_operators
from .comparison import compare, draw_settings
from .digits import write_digits
from .scene_pictures import detections, segmentations
from .scenes import write_scenes
from .stages import Stage
from .workers import InTurn, Workers, start_workers

ARMS = ('FT', 'BiSSL+FT')
#: Pictures of a quick run; t-SNE wants more than 30.
QUICK = dict(train=30, val=10, test=31)


@dataclass(frozen=True)
class DemoTask:
    """What differs between the demos.

    Attributes:
        name (str): ``'classification'``, ``'detection'``,
            ``'segmentation'``.
        folder (str): Default work folder.
        config (str): Ending of the config names.
        write_data (Callable): Writes the pictures to a folder and returns
            their number by part.
        metric (str): Of the evaluator, which decides and is compared.
        metric_name (str): For people.
        labeled (str): What the labeled pictures are.
        budget (dict): Search settings, their ranges and the number of
            seeds. Fixed before the first comparison; the same for both arms.
        show (Callable, optional): Pictures of predictions beside the truth.
    """

    name: str
    folder: str
    config: str
    write_data: Callable[[str], Dict[str, int]]
    metric: str
    metric_name: str
    labeled: str
    budget: dict
    show: Callable = None


TASKS = {
    task.name: task for task in (
        DemoTask(
            'classification', 'work_dirs/demo', 'digits', write_digits,
            'accuracy/top1', 'test accuracy', 'labeled digits',
            dict(settings=8, lr=(1e-3, 0.3), weight_decay=(1e-5, 1e-2),
                 seeds=10)),
        DemoTask(
            'detection', 'work_dirs/demo-det', 'digit-scenes-detection',
            write_scenes, 'coco/bbox_mAP_50', 'test AP50',
            'scenes of digits with boxes',
            dict(settings=1, lr=(5e-3, 0.1), weight_decay=(1e-5, 1e-2),
                 seeds=3), detections),
        DemoTask(
            'segmentation', 'work_dirs/demo-seg',
            'digit-scenes-segmentation', write_scenes, 'mIoU', 'test mIoU',
            'scenes of digits with masks',
            dict(settings=2, lr=(0.03, 0.5), weight_decay=(1e-5, 1e-2),
                 seeds=3), segmentations),
    )
}


class Demo:
    """One run of a demo; a stage that is finished is not run again.

    Args:
        task (DemoTask): Which.
        configs (str): Folder of the demo's configs.
        work_dir (str): Results; the data lie there too.
        quick (bool): A few steps of everything.

    Raises:
        ValueError: If ``work_dir`` holds stages of other settings.
        RuntimeError: If the task needs compiled operators that are missing.
    """

    def __init__(self, task: DemoTask, configs: str, work_dir: str,
                 quick: bool) -> None:
        self.task = task
        self.configs = configs
        self.work_dir = work_dir
        self.quick = quick
        self.seconds: Dict[str, float] = {}
        self.resumed: List[str] = []
        os.environ['BISSL_DEMO_DATA'] = osp.join(work_dir, 'data')
        pretext, bissl = self._pretext_config(), self._bissl_config()
        self.checkpoints = dict(zip(ARMS, (
            osp.join(work_dir, 'pretext',
                     f'epoch_{pretext.train_cfg.max_epochs}.pth'),
            osp.join(work_dir, 'bissl', 'backbone.pth')), strict=True))
        bissl.model.pretrained = self.checkpoints[ARMS[0]]
        self._configs = dict(pretext=pretext, bissl=bissl,
                             fine_tune=self._fine_tune_config())
        for cfg in self._configs.values():
            check_compiled_operators(cfg)
        self.stages: Dict[str, Stage] = {}
        before = None
        for name, cfg in self._configs.items():
            before = self.stages[name] = Stage(
                osp.join(work_dir, name), cfg, work_dir, before)
            before.check()
        self.counts = task.write_data(os.environ['BISSL_DEMO_DATA'])
        if quick:
            self.counts.update({part: min(number, self.counts[part])
                                for part, number in QUICK.items()})

    def config(self, stage: str) -> Config:
        """Of ``'pretext'``, ``'bissl'`` or ``'fine_tune'``."""
        name = dict(
            pretext='simclr_digits',
            bissl=f'bissl-simclr_{self.task.config}',
            fine_tune=f'fine_tune_{self.task.config}')[stage]
        cfg = read_config(osp.join(self.configs, f'{name}.py'))
        for part, number in QUICK.items():
            if self.quick and f'{part}_dataloader' in cfg:
                cfg[f'{part}_dataloader'].dataset.indices = number
        return cfg

    def workers(self, number: int) -> Union[Workers, InTurn]:
        """Processes for stage 4, or none where it is finished."""
        if self.stages['fine_tune'].finished:
            return InTurn()
        budget = self.budget
        runs = len(ARMS) * max(budget['settings'], budget['seeds'])
        scopes = {'mmpretrain', self._configs['fine_tune'].default_scope}
        return start_workers(min(number, runs), sorted(scopes))

    @property
    def budget(self) -> dict:
        """That of the task, in a quick run the least."""
        least = dict(settings=1, seeds=1) if self.quick else {}
        return {**self.task.budget, **least}

    def run_pretext(self) -> None:
        """Stage 1."""
        self._run('pretext', '1 pretraining', self.checkpoints[ARMS[0]])

    def run_bissl(self) -> None:
        """Stages 2 and 3."""
        self._run('bissl', '2+3 warm-up, BiSSL', self.checkpoints[ARMS[1]])

    def run_comparison(self, workers: Workers) -> dict:
        """Stage 4 of both arms; see :func:`compare`."""
        budget = self.budget
        settings = draw_settings(budget['settings'], budget['lr'],
                                 budget['weight_decay'], seed=0)
        seeds = list(range(1, budget['seeds'] + 1))
        total = len(self.checkpoints) * (len(settings) + len(seeds))
        stage = self.stages['fine_tune']
        begin = time.time()
        if stage.begun:
            self.resumed.append('fine_tune')
        else:
            stage.begin()
        show = self.task.show and partial(_keep_pictures, self.task.show,
                                          stage.folder)
        with tqdm(total=total, desc='4 fine-tuning',
                  dynamic_ncols=True) as bar:

            def step(text: str) -> None:
                bar.update()
                bar.set_postfix_str(text)

            outcome = compare(
                self._configs['fine_tune'], self.checkpoints, settings,
                seeds, stage.folder, self.task.metric, step, show,
                resume=True, workers=workers)
        if not stage.finished:
            stage.finish(time.time() - begin)
        self.seconds['fine-tuning'] = stage.seconds
        return dict(outcome, budget=budget)

    def pictures(self) -> List[Tuple[str, np.ndarray]]:
        """Rows of test pictures: the truth, what each arm predicts."""
        rows = []
        for arm in self.checkpoints:
            path = _pictures_path(self.stages['fine_tune'].folder, arm)
            if osp.isfile(path):
                with np.load(path) as kept:
                    if not rows:
                        rows.append(('truth', kept['truth']))
                    rows.append((arm, kept['predicted']))
        return rows

    def samples(self, number: int = 12) -> Dict[str, list]:
        """Some pictures of each level as training sees them."""
        rows = {}
        cfg = self.config('bissl')
        for name, loader in (
                ('first view', cfg.train_cfg.pretext_dataloader),
                ('second view', cfg.train_cfg.pretext_dataloader),
                ('labeled', cfg.train_dataloader)):
            stream = LevelStream({**loader, 'batch_size': 1}, 'lower')
            stream.start(0)
            samples = [stream.samples[stream.sampler.keys(i)[0]]['inputs']
                       for i in range(number)]
            if name != 'labeled':
                samples = [s[name.startswith('second')] for s in samples]
            rows[name] = [s[0].numpy() for s in samples]
        return rows

    def _run(self, name: str, label: str, result: str) -> None:
        """Run a stage, go on with it, or do nothing if it is finished."""
        stage, cfg = self.stages[name], self._configs[name]
        if stage.finished and osp.isfile(result):
            print(f'{label}: finished before, taken from {stage.folder}',
                  flush=True)
            self.resumed.append(name)
        else:
            if stage.begun:
                print(f'{label}: goes on in {stage.folder}', flush=True)
                self.resumed.append(name)
            stage.begin()
            begin = time.time()
            cfg = _with_bar(cfg, label)
            cfg.work_dir, cfg.resume = stage.folder, True
            build_runner(cfg).train()
            stage.finish(time.time() - begin)
        self.seconds[label[label.index(' ') + 1:]] = stage.seconds

    def _pretext_config(self) -> Config:
        cfg = self.config('pretext')
        if self.quick:
            cfg.train_cfg.max_epochs = 2
            cfg.train_dataloader.dataset.pop('indices', None)
            cfg.train_dataloader.dataset.dataset.indices = QUICK['train']
            cfg.train_dataloader.update(
                batch_size=16, num_workers=0, persistent_workers=False)
            cfg.param_scheduler.end = 2
            cfg.default_hooks.checkpoint.interval = 1
        return cfg

    def _bissl_config(self) -> Config:
        cfg = self.config('bissl')
        if self.quick:
            cfg.train_cfg.update(
                num_alternations=2, num_lower_steps=2, num_upper_steps=1)
            cfg.train_cfg.head_warmup.num_epochs = 1
            cfg.train_cfg.pretext_dataloader.update(
                batch_size=16, num_workers=0, persistent_workers=False)
            cfg.param_scheduler.lower = []
            cfg.default_hooks.checkpoint.interval = 1
        return cfg

    def _fine_tune_config(self) -> Config:
        cfg = self.config('fine_tune')
        if self.quick:
            cfg.train_cfg.update(max_epochs=1, val_interval=1)
            cfg.param_scheduler.end = 1
        return cfg


def _with_bar(cfg: Config, label: str) -> Config:
    """A stage that shows a bar instead of log lines."""
    cfg.launcher = 'none'
    cfg.log_level = 'WARNING'
    cfg.custom_hooks = cfg.get('custom_hooks', []) + [
        dict(type='bissl_mm.ProgressBarHook', name=label)
    ]
    return cfg


def _pictures_path(folder: str, arm: str) -> str:
    return osp.join(folder, f'pictures_{arm.replace("+", "_")}.npz')


def _keep_pictures(show: Callable, folder: str, arm: str, seed: int,
                   runner: Runner) -> None:
    """Write pictures of the first seed's predictions to a file."""
    if seed != 1:
        return
    truth, predicted = show(runner)
    mkdir_or_exist(folder)
    path = _pictures_path(folder, arm)
    with open(f'{path}.partial', 'wb') as file:
        np.savez(file, truth=np.stack(truth), predicted=np.stack(predicted))
    os.replace(f'{path}.partial', path)
