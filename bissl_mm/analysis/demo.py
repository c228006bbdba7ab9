"""The stages of the demos, one after another."""

import os
import os.path as osp
from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

from mmengine.config import Config
from mmengine.runner import Runner
from tqdm import tqdm

from ..datasets import LevelStream
from ..engine.launch import build_runner
from .comparison import compare, draw_settings
from .digits import write_digits
from .scene_pictures import detections, segmentations
from .scenes import write_scenes

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
    """One run of a demo.

    Args:
        task (DemoTask): Which.
        configs (str): Folder of the demo's configs.
        work_dir (str): Results; the data lie there too.
        quick (bool): A few steps of everything.
    """

    def __init__(self, task: DemoTask, configs: str, work_dir: str,
                 quick: bool) -> None:
        self.task = task
        self.configs = configs
        self.work_dir = work_dir
        self.quick = quick
        self.checkpoints: Dict[str, str] = {}
        self.pictures: List[Tuple[str, list]] = []
        data = osp.join(work_dir, 'data')
        os.environ['BISSL_DEMO_DATA'] = data
        self.counts = task.write_data(data)
        if quick:
            self.counts.update({part: min(number, self.counts[part])
                                for part, number in QUICK.items()})

    def config(self, stage: str) -> Config:
        """Of ``'pretext'``, ``'bissl'`` or ``'fine_tune'``."""
        name = dict(
            pretext='simclr_digits',
            bissl=f'bissl-simclr_{self.task.config}',
            fine_tune=f'fine_tune_{self.task.config}')[stage]
        cfg = Config.fromfile(osp.join(self.configs, f'{name}.py'))
        for part, number in QUICK.items():
            if self.quick and f'{part}_dataloader' in cfg:
                cfg[f'{part}_dataloader'].dataset.indices = number
        return cfg

    def run_pretext(self) -> None:
        """Stage 1."""
        cfg = self._with_bar('pretext', '1 pretraining ')
        if self.quick:
            cfg.train_cfg.max_epochs = 1
            cfg.train_dataloader.update(
                batch_size=16, num_workers=0, persistent_workers=False)
            cfg.param_scheduler.end = 1
        build_runner(cfg).train()
        self.checkpoints[ARMS[0]] = osp.join(
            cfg.work_dir, f'epoch_{cfg.train_cfg.max_epochs}.pth')

    def run_bissl(self) -> None:
        """Stages 2 and 3."""
        cfg = self._with_bar('bissl', '2+3 warm-up, BiSSL')
        cfg.model.pretrained = self.checkpoints[ARMS[0]]
        if self.quick:
            cfg.train_cfg.update(
                num_alternations=2, num_lower_steps=2, num_upper_steps=1)
            cfg.train_cfg.head_warmup.num_epochs = 1
            cfg.train_cfg.pretext_dataloader.update(
                batch_size=16, num_workers=0, persistent_workers=False)
            cfg.param_scheduler.lower = []
        build_runner(cfg).train()
        self.checkpoints[ARMS[1]] = osp.join(cfg.work_dir, 'backbone.pth')

    def run_comparison(self) -> dict:
        """Stage 4 of both arms; see :func:`compare`."""
        cfg, budget = self.config('fine_tune'), dict(self.task.budget)
        if self.quick:
            budget.update(settings=1, seeds=1)
            cfg.train_cfg.update(max_epochs=1, val_interval=1)
            cfg.param_scheduler.end = 1
        settings = draw_settings(budget['settings'], budget['lr'],
                                 budget['weight_decay'], seed=0)
        seeds = list(range(1, budget['seeds'] + 1))
        total = len(self.checkpoints) * (len(settings) + len(seeds))
        with tqdm(total=total, desc='4 fine-tuning ',
                  dynamic_ncols=True) as bar:

            def step(text: str) -> None:
                bar.update()
                bar.set_postfix_str(text)

            outcome = compare(
                cfg, self.checkpoints, settings, seeds,
                osp.join(self.work_dir, 'fine_tune'), self.task.metric, step,
                self._show)
        return dict(outcome, budget=budget)

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

    def _show(self, arm: str, seed: int, runner: Runner) -> None:
        """Keep pictures of the first seed's predictions."""
        if self.task.show is not None and seed == 1:
            truth, predicted = self.task.show(runner)
            if not self.pictures:
                self.pictures.append(('truth', truth))
            self.pictures.append((arm, predicted))

    def _with_bar(self, stage: str, label: str) -> Config:
        """A stage that shows a bar instead of log lines."""
        cfg = self.config(stage)
        cfg.work_dir = osp.join(self.work_dir, stage)
        cfg.launcher = 'none'
        cfg.log_level = 'WARNING'
        cfg.custom_hooks = cfg.get('custom_hooks', []) + [
            dict(type='bissl_mm.ProgressBarHook', name=label)
        ]
        return cfg
