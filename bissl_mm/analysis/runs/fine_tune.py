"""One fine-tuning run from a backbone."""

import copy
import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ...config import is_type
from ...engine.checks.loaders import check_train_loop
from ...models.weights.taken import init_with_checks
from ...utils.total_batch import share_batches
from .best_epoch import KeepBest, percent
from .loss import mean_loss

#: What a run takes from its config.
_KEYS = (
    'model',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'optim_wrapper',
    'param_scheduler',
    'val_evaluator',
    'test_evaluator',
    'custom_hooks',
    'env_cfg',
    'default_scope',
)


@dataclass
class Setting:
    """Learning rate and weight decay of a fine-tuning run."""

    lr: float
    weight_decay: float


def fine_tune(
    cfg: Config,
    checkpoint: str | None,
    setting: Setting,
    seed: int,
    work_dir: str,
    metric: str = 'accuracy/top1',
    test: bool = True,
    inspect: Callable[[Runner], None] | None = None,
    hooks: Sequence[Hook] = (),
    history: bool = False,
    loss: bool = False,
) -> dict[str, Any]:
    """One fine-tuning run.

    Args:
        cfg (Config): A fine-tuning config with validation and test data.
            ``checkpoint`` is loaded wherever its model has a ``Pretrained``
            initialisation (in a C4 detector the backbone and the shared
            head). Its learning rate, weight decay and seed are replaced. The
            config itself is not changed.
        checkpoint (str, optional): Exported or pretrained backbone. None: the
            backbone starts from random weights.
        setting (Setting): Learning rate and weight decay.
        seed (int): Seed of the head, the data order and the augmentations.
        work_dir (str): Folder for mmengine's logs.
        metric (str): Metric that decides which epoch is the best.
        test (bool): Whether to evaluate that epoch on the test data. Defaults
            to True.
        inspect (Callable, optional): Called with the runner after the test,
            with the weights of that epoch.
        hooks (Sequence[Hook]): More hooks of the runner.
        history (bool): Whether to return ``curve`` and ``metrics``, too.
            Defaults to False.
        loss (bool): Whether to return ``loss``, too, that of the validation data
            with the weights of the best epoch. Defaults to False.

    Returns:
        dict[str, Any]: ``val`` and, if asked for, ``test``, percent; both NaN if
        the metric is never a number on the validation data, and NaN where there is
        no box. ``curve`` is the
        metric of all evaluations, percent, and ``metrics`` are all those of the
        test, as the evaluator reports them.
    """
    cfg = copy.deepcopy(cfg)
    # One process, which takes the whole batch.
    share_batches(cfg, 1)
    set_checkpoint(cfg.model, checkpoint)
    cfg.optim_wrapper.optimizer.update(lr=setting.lr, weight_decay=setting.weight_decay)
    # Without ``cfg``: mmengine formats it several times per run, which takes
    # longer than a short run itself.
    runner = Runner(
        work_dir=work_dir,
        default_hooks=dict(logger=None, checkpoint=None, timer=None),
        randomness=dict(seed=seed),
        log_level='ERROR',
        experiment_name=f'fine_tune_{time.time_ns()}',
        **{k: cfg[k] for k in _KEYS if k in cfg},
    )
    best = KeepBest(metric)
    for hook in (best, *hooks):
        runner.register_hook(hook)
    _check(runner)
    runner.train()
    return _results(runner, best, test, inspect, history, loss)


def _results(
    runner: Runner,
    best: KeepBest,
    test: bool,
    inspect: Callable[[Runner], None] | None,
    history: bool,
    loss: bool,
) -> dict[str, Any]:
    """What :func:`fine_tune` returns, after the training."""
    # An error here would lose the results of other runs.
    result: dict[str, Any] = dict(val=best.value if best.state else math.nan)
    if history:
        result['curve'] = best.curve
    if not best.state:
        result.update(dict.fromkeys(['loss'] * loss + ['test'] * test, math.nan))
        return result
    runner.model.load_state_dict(best.state)
    if loss:
        result['loss'] = mean_loss(runner.model, runner.val_dataloader)
    if test:
        metrics = runner.test()
        result['test'] = percent(best.metric, metrics)
        if history:
            result['metrics'] = metrics
        if inspect is not None:
            inspect(runner)
    return result


def timed_fine_tune(*args, **kwargs) -> dict[str, Any]:
    """:func:`fine_tune` without what pycocotools prints at each evaluation.

    Returns:
        dict[str, Any]: Its result, with the wall time as ``seconds``.
    """
    begin = time.time()
    with redirect_stdout(io.StringIO()):
        result = fine_tune(*args, **kwargs)
    return dict(result, seconds=time.time() - begin)


def set_checkpoint(model: ConfigDict, checkpoint: str | None) -> None:
    """Set the checkpoint wherever the model loads its backbone.

    Args:
        model (ConfigDict): Changed.
        checkpoint (str, optional): None: random weights instead.
    """
    found = [
        part
        for part in _parts(model)
        if is_type(part.get('init_cfg'), 'Pretrained', 'PretrainedInit')
    ]
    if checkpoint is None:
        for part in found:
            # Then the class's own random initialisation is used.
            del part['init_cfg']
        return
    for part in found:
        part.init_cfg.checkpoint = checkpoint
    if not found:
        model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.'
        )


def _parts(cfg: ConfigDict) -> Iterator[ConfigDict]:
    """The config of a module and those of its submodules."""
    yield cfg
    for value in cfg.values():
        if isinstance(value, ConfigDict):
            yield from _parts(value)


def _check(runner: Runner) -> None:
    """Check the data and, before initialisation, the checkpoint; log nothing."""
    init_weights = runner.model.init_weights

    runner.model.init_weights = partial(init_with_checks, runner.model, init_weights)
    build_train_loop = runner.build_train_loop

    def checked_loop(loop):
        loop = build_train_loop(loop)
        check_train_loop(runner, loop)
        return loop

    runner.build_train_loop = checked_loop
    MMLogger.get_current_instance().setLevel(logging.ERROR)
