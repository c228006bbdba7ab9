"""The shipped ImageFolder config, scaled down to run in a second."""

from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

CONFIG = (
    Path(__file__).resolve().parents[1] / 'configs/bissl/'
    'bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py'
)
CLASSES = ('circles', 'noise', 'stripes')


def draw(kind: str, rng: np.random.Generator, size: int = 36) -> np.ndarray:
    """A picture of one class, ``(size, size, 3)`` uint8."""
    y, x = np.mgrid[:size, :size]
    if kind == 'stripes':
        picture = np.sin((x + y * rng.normal()) / rng.uniform(1, 3))
    elif kind == 'circles':
        picture = np.sin(
            np.hypot(x - rng.uniform(0, size), y - rng.uniform(0, size))
            / rng.uniform(1, 3)
        )
    else:
        picture = rng.uniform(-1, 1, (size, size))
    colours = rng.uniform(60, 120, 3)
    return (127 + picture[..., None] * colours).astype(np.uint8)


def make_folders(root: Path, per_class: int = 8) -> None:
    """``pretext/`` without and ``downstream/{train,val,test}`` with labels."""
    rng = np.random.default_rng(0)
    for split, number in (('train', per_class), ('val', 4), ('test', 4)):
        for kind in CLASSES:
            folder = root / 'downstream' / split / kind
            folder.mkdir(parents=True)
            for i in range(number):
                Image.fromarray(draw(kind, rng)).save(folder / f'{i}.png')
    (root / 'pretext').mkdir()
    for i in range(40):
        Image.fromarray(draw(CLASSES[i % 3], rng)).save(
            root / 'pretext' / f'{i:03}.png'
        )


#: A ResNet of two stages: time goes into the number of layers, not into their size.
NETWORK = dict(
    stem_channels=4,
    base_channels=4,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1,),
)
OPTIONS = {
    'model.pretrained': None,
    **{f'model.pretext.backbone.{key}': value for key, value in NETWORK.items()},
    'model.pretext.neck.in_channels': 8,
    'model.pretext.neck.hid_channels': 16,
    'model.pretext.neck.out_channels': 8,
    **{f'model.downstream.backbone.{key}': value for key, value in NETWORK.items()},
    'model.downstream.head.in_channels': 8,
    'train_dataloader.batch_size': 6,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'train_cfg.pretext_dataloader.batch_size': 4,
    'train_cfg.pretext_dataloader.num_workers': 0,
    'train_cfg.pretext_dataloader.persistent_workers': False,
    'train_cfg.num_alternations': 6,
    'train_cfg.num_lower_steps': 3,
    'train_cfg.num_upper_steps': 2,
    'train_cfg.head_warmup.num_epochs': 1,
    'train_cfg.val_interval': 2,
    'optim_wrapper.hypergradient.damping': 10.0,
    'optim_wrapper.hypergradient.solver.type': 'LayerwiseCGSolver',
    'optim_wrapper.hypergradient.solver.max_iters': 2,
    'optim_wrapper.hypergradient.check_residual': 'random',
    'param_scheduler.lower.0.end': 4,
    'param_scheduler.lower.1.begin': 4,
    'default_hooks.checkpoint.interval': 2,
    'log_level': 'WARNING',
}


def small_config(monkeypatch, data: Path, work_dir: Path, **options) -> Config:
    """The config; ``options`` are dotted keys with ``__`` for the dots."""
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(data / 'pretext'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(data / 'downstream'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', str(len(CLASSES)))
    cfg = Config.fromfile(CONFIG)
    changes = {k.replace('__', '.'): v for k, v in options.items()}
    cfg.merge_from_dict({**OPTIONS, **changes})
    cfg.work_dir = str(work_dir)
    return cfg


class StopAt(Hook):
    """Requests a stop at the n-th call of one of the loop's events."""

    priority = 'VERY_HIGH'

    def __init__(self, event: str, count: int) -> None:
        self.left = count

        def stop(runner, **kwargs):
            self.left -= 1
            if self.left == 0:
                runner.train_loop.request_stop(15)

        setattr(self, event, stop)


_count = 0


def make_runner(cfg: Config, hooks=()) -> Runner:
    """A runner with its own name, as in a fresh process."""
    global _count
    _count += 1
    cfg = cfg.copy()
    cfg.experiment_name = f'test{_count}'
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def weights(runner: Runner) -> dict:
    """A copy of all weights and buffers."""
    return {k: v.clone() for k, v in runner.model.state_dict().items()}
