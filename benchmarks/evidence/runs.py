"""What a worker process runs: one pretraining, stage or fine-tuning."""

import io
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from arms import STAGES, StageSettings
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from packs import PRETEXTS, Pack, put_pretext, read

from bissl_mm.analysis.runs.fine_tune import Setting, timed_fine_tune
from bissl_mm.engine.checks.data_look import VARIABLE, check_data
from bissl_mm.engine.hooks.regime_hook import RegimeHook
from bissl_mm.engine.hooks.transfer_hook import (
    TransferHook,
    batch_features,
    neighbours_accuracy,
)
from bissl_mm.engine.launch import build_runner

#: On a core like that of the README's figures: of pretraining an image for an epoch,
#: of an alternation of an arm, and of a fine-tuning of ``STEPS`` steps or fewer.
SECONDS = dict(
    image=1015 / 10_000 / 60,
    alternation=dict(further=125 / 30, twice=20 / 30, v=150 / 30),
    classification=10,
    dense=45,
)
STEPS = 200


def minutes(
    pack: Pack, plan: dict[str, int], images: int, settings: StageSettings, workers: int
) -> float:
    """About how long the runs of run.py will take.

    Args:
        pack (Pack): The labeled set.
        plan (dict[str, int]): Number of runs that are left, by kind.
        images (int): Unlabeled ones, times epochs of pretraining.
        settings (StageSettings): Of the stages.
        workers (int): Runs side by side; the pretraining is alone.
    """
    each = SECONDS['alternation'].values()
    stage = settings.num_alternations * sum(each) / len(each)
    is_dense = pack.task != Pack.task
    batches = pack.number // min(pack.batch if is_dense else 50, pack.number)
    tuning = SECONDS['dense' if is_dense else 'classification'] * max(
        1.0, pack.epochs * batches / STEPS
    )
    side_by_side = plan['stage'] * stage + (plan['search'] + plan['final']) * tuning
    alone = plan['pretraining'] * images * SECONDS['image']
    return (alone + side_by_side / workers) / 60


class LastNumbers(Hook):
    """Keeps what the last iteration logged."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        found = {
            k: float(torch.as_tensor(v).detach())
            for k, v in (outputs or {}).items()
            if isinstance(v, (int, float)) or torch.is_tensor(v) and v.numel() == 1
        }
        self.first = self.first or found
        self.last = found


@contextmanager
def quick_start() -> Iterator[None]:
    """Neither looks over the data nor formats the config."""
    variable, pretty_text = os.environ.get(VARIABLE), Config.pretty_text
    os.environ[VARIABLE] = '0'
    Config.pretty_text = property(repr)
    try:
        yield
    finally:
        Config.pretty_text = pretty_text
        del os.environ[VARIABLE]
        if variable is not None:
            os.environ[VARIABLE] = variable


def _train(cfg: Config, work_dir: Path, seed: int) -> dict[str, object]:
    cfg.work_dir = str(work_dir)
    cfg.randomness = dict(seed=seed)
    cfg.log_level = 'ERROR'
    cfg.visualizer = dict(type='Visualizer', vis_backends=[])
    cfg.experiment_name = f'run_{os.getpid()}_{time.time_ns()}'
    numbers = LastNumbers()
    # Its parts were looked over before; formatting it takes seconds.
    with quick_start():
        runner = build_runner(cfg)
        MMLogger.get_current_instance().setLevel(logging.ERROR)
        runner.register_hook(numbers, 'VERY_LOW')
        begin, used = time.time(), time.process_time()
        # pycocotools prints at every look.
        with redirect_stdout(io.StringIO()):
            runner.train()
    return dict(
        seconds=time.time() - begin,
        cpu_seconds=time.process_time() - used,
        first=_finite(numbers.first),
        last=_finite(numbers.last),
        **_of_hooks(runner),
    )


def _of_hooks(runner: Runner) -> dict[str, object]:
    """What a stage's hooks know at its end; nothing of another run."""
    found: dict[str, object] = {}
    for hook in runner.hooks:
        if isinstance(hook, RegimeHook):
            found.update(
                _finite(
                    dict(
                        relaxation_times=hook.relaxation_times, moved=hook.moved(runner)
                    )
                )
            )
        elif isinstance(hook, TransferHook):
            found['neighbours'] = [list(pair) for pair in hook.history]
    return found


def _finite(numbers: dict[str, float | None]) -> dict[str, float | None]:
    return {
        k: v if v is not None and math.isfinite(v) else None for k, v in numbers.items()
    }


def pretrain_config(folder: str, epochs: int, task: str = 'simclr') -> Config:
    """Of a pretraining."""
    cfg = read(PRETEXTS[task])
    put_pretext(cfg.train_dataloader, folder)
    cfg.train_cfg.max_epochs = epochs
    warmup, decay = cfg.param_scheduler
    warmup.end = decay.begin = min(3, max(1, epochs // 5))
    decay.end = epochs
    return cfg


def pretrain(
    folder: str, unit: int, epochs: int, work_dir: Path, task: str = 'simclr'
) -> dict[str, object]:
    """From a random initialisation; goes on where it was."""
    cfg = pretrain_config(folder, epochs, task)
    cfg.default_hooks.checkpoint.update(interval=min(10, epochs), max_keep_ckpts=-1)
    cfg.resume = (work_dir / 'last_checkpoint').exists()
    return _train(cfg, work_dir, unit)


def refuse_damaged(pack: Pack, lists: Path, pretext: str) -> None:
    """Refuse damaged images, which the stage skips, and ids that no class has.

    Pretraining and fine-tuning would end at one, the latter after hours. So all
    pixels of the labeled set are read: a sample may miss the one image. An id
    that no class has would go uncounted in a mask to test on.

    Args:
        pack (Pack): The labeled set.
        lists (Path): See :meth:`Pack.put`.
        pretext (str): Folder of unlabeled images.

    Raises:
        ValueError: If an image or a mask cannot be read. What else there is to say of
            the data is said elsewhere.
    """
    refusals_alone = logging.Logger('refusals alone')
    # Without a handler, warnings go to the console once more.
    refusals_alone.addHandler(logging.NullHandler())
    tuning = read(pack.fine_tune_config, pack.task)
    pack.put(tuning, 0, lists)
    for cfg, places, everything in (
        (tuning, ('train', 'val', 'test'), True),
        # Pretraining comes first and names a damaged image in minutes.
        (pretrain_config(pretext, 1, pack.pretext), ('train',), False),
    ):
        check_data(cfg, places, refusals_alone, everything)


def stage_config(
    arm: str, settings: StageSettings, pack: Pack, unit: int, pretext: str, lists: Path
) -> Config:
    """Of a stage; its pretrained file is not set."""
    cfg = read(pack.stage_config, pack.task)
    settings.put(cfg)
    STAGES[arm](cfg)
    pack.put(cfg, unit, lists)
    put_pretext(cfg.train_cfg.pretext_dataloader, pretext)
    return cfg


def stage(
    arm: str,
    settings: StageSettings,
    pack: Pack,
    unit: int,
    pretext: str,
    checkpoint: Path,
    target: Path,
    lists: Path,
    best: bool = False,
) -> dict[str, object]:
    """The stage of an arm; its backbone goes to ``target``, the last one or
    the one that the estimate of transfer likes best."""
    cfg = stage_config(arm, settings, pack, unit, pretext, lists)
    cfg.model.pretrained = str(checkpoint)
    cfg.default_hooks.checkpoint = None
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    if best:
        hooks['TransferHook'].interval = max(1, settings.num_alternations // 10)
        hooks['ExportBackboneHook'].best = True
    work_dir = target.with_suffix('.run')
    result = _train(cfg, work_dir, unit)
    name = 'best_backbone.pth' if best else 'backbone.pth'
    if best:
        meta = torch.load(work_dir / name, weights_only=True)['meta']
        result['alternation'] = meta['num_alternations']
    shutil.move(work_dir / name, target)
    shutil.rmtree(work_dir)
    return result


def fine_tune_config(arm: str, pack: Pack, unit: int, lists: Path) -> Config:
    """Of a fine-tuning."""
    cfg = read(pack.fine_tune_config, pack.task)
    pack.put(cfg, unit, lists)
    epochs = round(pack.epochs * (1 + pack.extra * (arm == 'FT-long')))
    cfg.train_cfg.update(
        max_epochs=epochs, val_interval=max(1, round(epochs / pack.evaluations))
    )
    cfg.param_scheduler.end = epochs
    return cfg


def fine_tune(
    arm: str,
    pack: Pack,
    unit: int,
    checkpoint: Path,
    setting: Setting,
    seed: int,
    lists: Path,
    work_dir: Path,
    test: bool,
) -> dict[str, object]:
    """One fine-tuning."""
    # Units differ in head, order and augmentation, too.
    return timed_fine_tune(
        fine_tune_config(arm, pack, unit, lists),
        str(checkpoint),
        setting,
        100 * unit + seed,
        str(work_dir),
        pack.metric,
        test,
    )


def transfer(pack: Pack, checkpoint: Path, lists: Path) -> dict[str, object]:
    """The estimate of transfer of a backbone, on the validation images."""
    cfg = read(pack.fine_tune_config, pack.task)
    pack.put(cfg, 0, lists)
    init_default_scope(cfg.default_scope)
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
    model = MODELS.build(cfg.model)
    model.init_weights()
    loader = Runner.build_dataloader(cfg.val_dataloader, seed=0)
    features, labels = batch_features(model, loader)
    return dict(neighbours=neighbours_accuracy(features, labels, 10))
