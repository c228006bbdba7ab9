"""What the demos change in the configs of the stages."""

import os.path as osp

from mmengine.config import Config

from ...config import read_config
from .data import QUICK, DemoData
from .images import put_images
from .tasks import ARMS, DemoTask

_PARTS = {
    'train_dataloader': 'train',
    'val_dataloader': 'val',
    'test_dataloader': 'test',
}


class DemoConfigs:
    """The configs of one demo.

    Args:
        task (DemoTask): The task of the demo.
        root (str): Folder of the configs.
        data (DemoData): The pictures of the demo.
        quick (bool): Whether to run only a few steps of everything.
    """

    def __init__(self, task: DemoTask, root: str, data: DemoData, quick: bool) -> None:
        self.task, self.root, self.data, self.quick = task, root, data, quick

    def read(self, stage: str) -> Config:
        """The config of ``'pretext'``, ``'bissl'`` or ``'fine_tune'``."""
        path = osp.join(self.root, f'{self.task.configs[stage]}.py')
        task = None if stage == 'pretext' else self.task.config_task
        cfg = read_config(path, task=task)
        if self.data.pretext is not None:
            put_images(cfg, self.data)
        for key, part in _PARTS.items():
            if self.quick and key in cfg and stage != 'pretext':
                self._shorten(cfg[key], part)
        return cfg

    def pretraining(self) -> Config:
        """Stage 1."""
        cfg = self.read('pretext')
        if self.quick:
            cfg.train_cfg.max_epochs = 2
            loader = cfg.train_dataloader
            self._shorten(loader, 'pretext')
            loader.update(batch_size=16, num_workers=0, persistent_workers=False)
            decay = _schedules(cfg.param_scheduler)[-1]
            cfg.param_scheduler = [dict(decay, begin=0, end=2)]
            cfg.default_hooks.checkpoint.interval = 1
        return cfg

    def stage(self, arm: str, seed: int, checkpoint: str) -> Config:
        """The config of stages 2 and 3 of an arm.

        Args:
            arm (str): ``'training twice'`` or ``'BiSSL+FT'``.
            seed (int): Seed of the stage.
            checkpoint (str): Checkpoint of the pretraining.
        """
        cfg = self.read('bissl')
        if self.quick:
            _quicken(cfg)
        cfg.randomness = dict(seed=seed)
        cfg.model.pretrained = checkpoint
        cfg.default_hooks.checkpoint.interval = min(
            5, cfg.default_hooks.checkpoint.interval
        )
        if arm == ARMS[1]:
            train_upper_alone(cfg)
        return cfg

    def fine_tuning(self) -> Config:
        """Stage 4."""
        cfg = self.read('fine_tune')
        if self.quick:
            cfg.train_cfg.update(max_epochs=1, val_interval=1)
            cfg.param_scheduler.end = 1
        return cfg

    def _shorten(self, loader: Config, part: str) -> None:
        """Use only some pictures of the innermost dataset, from all classes."""
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        total = self.data.counts[part]
        number = min(QUICK[part], total)
        dataset.indices = [i * total // number for i in range(number)]
        loader.batch_size = min(loader.batch_size, number)


def train_upper_alone(cfg: Config) -> None:
    """Turn a bilevel config into one of training twice.

    It keeps the head warm-up and the upper steps on the downstream task alone.
    The upper level's backbone is exported.
    """
    cfg.optim_wrapper.indirect_weight = 0.0
    cfg.train_cfg.num_lower_steps = 0
    for hook in cfg.custom_hooks:
        if hook.type == 'ExportBackboneHook':
            hook.level = 'upper'


def _schedules(found) -> list[dict]:
    return [found] if isinstance(found, dict) else list(found)


def _quicken(cfg: Config) -> None:
    cfg.train_cfg.update(num_alternations=2, num_lower_steps=2, num_upper_steps=1)
    cfg.train_cfg.head_warmup.num_epochs = 1
    cfg.train_cfg.pretext_dataloader.update(
        batch_size=16, num_workers=0, persistent_workers=False
    )
    cfg.param_scheduler.lower = []
    for hook in cfg.custom_hooks:
        if hook.type == 'RegimeHook':
            # RegimeHook's warning says nothing about so few steps.
            hook.least = 0.0
    cfg.default_hooks.checkpoint.interval = 1
