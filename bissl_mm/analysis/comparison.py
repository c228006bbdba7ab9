"""Fine-tune two backbones under one budget and compare them."""

import copy
import io
import logging
import os.path as osp
import time
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..models.pretrained import check_pretrained_init
from ..utils.errors import FloatingPointRefusal
from ..utils.total_batch import share_batches
from .best_epoch import KeepBest, percent
from .finished_runs import FinishedRuns, run_key
from .permutation_test import permutation_p_value


@dataclass
class Setting:
    """Learning rate and weight decay of a fine-tuning run."""

    lr: float
    weight_decay: float


@dataclass
class ArmResult:
    """What one arm reached.

    Attributes:
        name (str): Name of the arm.
        checkpoint (str): Its backbone.
        search (list[dict]): Validation metric of every setting tried.
        setting (Setting): The one with the best validation metric.
        seeds (list[int]): Seeds of the final runs.
        val (list[float]): Best validation metric of each final run, percent.
        test (list[float]): Test metric at that point, percent.
        seconds (float): Wall time of the arm.
    """

    name: str
    checkpoint: str
    search: List[dict] = field(default_factory=list)
    setting: Optional[Setting] = None
    seeds: List[int] = field(default_factory=list)
    val: List[float] = field(default_factory=list)
    test: List[float] = field(default_factory=list)
    seconds: float = 0.

    @property
    def mean(self) -> float:
        """Mean test metric."""
        return float(np.mean(self.test))

    @property
    def std(self) -> float:
        """Standard deviation over seeds, of the sample."""
        return float(np.std(self.test, ddof=1)) if len(self.test) > 1 else 0.

    def to_dict(self) -> dict:
        """Plain data for a JSON file."""
        return dict(asdict(self), mean=self.mean, std=self.std)


def draw_settings(number: int, lr_range: Sequence[float],
                  weight_decay_range: Sequence[float],
                  seed: int) -> List[Setting]:
    """Log-uniform random settings, as in B.2, arXiv:2410.02387.

    Args:
        number (int): How many.
        lr_range (Sequence[float]): Lowest and highest learning rate.
        weight_decay_range (Sequence[float]): The same of weight decay.
        seed (int): Both arms of a comparison get the same settings.
    """
    rng = np.random.default_rng(seed)

    def draw(bounds: Sequence[float]) -> float:
        low, high = np.log(bounds[0]), np.log(bounds[1])
        return float(np.exp(rng.uniform(low, high)))

    return [Setting(draw(lr_range), draw(weight_decay_range))
            for _ in range(number)]


def fine_tune(cfg: Config,
              checkpoint: str,
              setting: Setting,
              seed: int,
              work_dir: str,
              metric: str = 'accuracy/top1',
              test: bool = True,
              inspect: Optional[Callable[[Runner], None]] = None
              ) -> Dict[str, float]:
    """One fine-tuning run.

    Args:
        cfg (Config): A fine-tuning config with validation and test data.
            Wherever its model has a ``Pretrained`` initialisation (in a C4
            detector the backbone and the shared head), ``checkpoint`` is
            loaded; its learning rate, weight decay and seed are replaced.
            Not changed.
        checkpoint (str): Exported or pretrained backbone.
        setting (Setting): Learning rate and weight decay.
        seed (int): Of head, order and augmentation.
        work_dir (str): For mmengine's logs.
        metric (str): Metric that decides which epoch is the best.
        test (bool): Evaluate that epoch on the test data. Defaults to True.
        inspect (Callable, optional): Gets the runner after the test, with
            the weights of that epoch.

    Returns:
        dict[str, float]: ``val`` and, if asked for, ``test``, percent; a
        metric that is never a number counts as 0 on the validation data.

    Raises:
        FloatingPointError: If there is then nothing to test.
    """
    cfg = copy.deepcopy(cfg)
    # One process, which takes the whole batch.
    share_batches(cfg, 1)
    _set_checkpoint(cfg.model, checkpoint)
    cfg.optim_wrapper.optimizer.update(
        lr=setting.lr, weight_decay=setting.weight_decay)
    keys = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
            'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper',
            'param_scheduler', 'val_evaluator', 'test_evaluator', 'env_cfg',
            'default_scope')
    # Without ``cfg``: mmengine formats it several times a run, which takes
    # longer than a short run itself.
    runner = Runner(
        work_dir=work_dir,
        default_hooks=dict(logger=None, checkpoint=None, timer=None),
        randomness=dict(seed=seed),
        log_level='ERROR',
        experiment_name=f'fine_tune_{time.time_ns()}',
        **{k: cfg[k] for k in keys if k in cfg})
    best = KeepBest(metric)
    runner.register_hook(best)
    _check_weights(runner)
    runner.train()
    result = dict(val=best.value if best.state else 0.)
    if test:
        if not best.state:
            raise FloatingPointRefusal(
                f"Fine-tuning from '{checkpoint}' with learning rate "
                f'{setting.lr:g}, seed {seed}: {metric} was never a number. '
                'Lower the learning rates of the search.')
        runner.model.load_state_dict(best.state)
        result['test'] = percent(metric, runner.test())
        if inspect is not None:
            inspect(runner)
    return result


def quietly(*args, **kwargs) -> Dict[str, float]:
    """:func:`fine_tune` without what pycocotools prints at every look."""
    with redirect_stdout(io.StringIO()):
        return fine_tune(*args, **kwargs)


def compare(cfg: Config,
            checkpoints: Dict[str, str],
            settings: Sequence[Setting],
            seeds: Sequence[int],
            work_dir: str,
            metric: str = 'accuracy/top1',
            step: Callable[[str], None] = lambda text: None,
            inspect: Optional[Callable[[str, int, Runner], None]] = None,
            resume: bool = False) -> dict:
    """Fine-tune every arm: search, then final runs over seeds.

    All arms get the same settings to choose from and the same seeds. The
    choice is made on the validation data, by one run of seed 0 a setting.

    Args:
        cfg (Config): Fine-tuning config.
        checkpoints (dict[str, str]): Backbone of each arm by its name.
        settings (Sequence[Setting]): The search.
        seeds (Sequence[int]): Of the final runs.
        work_dir (str): Folder of the logs.
        metric (str): Metric to compare.
        step (Callable): Called after every run with a line about it.
        inspect (Callable, optional): Gets arm, seed and runner after the
            test of each final run.
        resume (bool): Take the runs that an interrupted comparison finished
            (same config, checkpoint and setting) from ``runs.jsonl`` in
            ``work_dir``. Defaults to False.

    Returns:
        dict: ``arms`` (list of :meth:`ArmResult.to_dict`) and, for two arms,
        ``difference`` of the means (second minus first) and ``p_value``.
    """
    arms = []
    finished = FinishedRuns(osp.join(work_dir, 'runs.jsonl'), resume)

    def run(name: str, checkpoint: str, setting: Setting, seed: int,
            **kwargs) -> dict:
        folder = osp.join(work_dir, name.replace('+', '_'))
        begin = time.time()
        return finished.get(
            run_key(cfg, checkpoint, asdict(setting), seed, metric,
                    sorted(kwargs)),
            lambda: dict(
                quietly(cfg, checkpoint, setting, seed, folder, metric,
                        **kwargs), seconds=time.time() - begin))

    for name, checkpoint in checkpoints.items():
        arm = ArmResult(name, checkpoint)
        for setting in settings:
            result = run(name, checkpoint, setting, 0, test=False)
            val = result['val']
            arm.seconds += result['seconds']
            arm.search.append(dict(asdict(setting), val=val))
            step(f'{name}: search, val {val:.1f}')
        best = max(arm.search, key=lambda tried: tried['val'])
        arm.setting = Setting(best['lr'], best['weight_decay'])
        for seed in seeds:
            result = run(name, checkpoint, arm.setting, seed,
                         inspect=inspect and partial(inspect, name, seed))
            arm.seconds += result['seconds']
            arm.seeds.append(seed)
            arm.val.append(result['val'])
            arm.test.append(result['test'])
            step(f'{name}: seed {seed}, test {result["test"]:.1f}')
        arms.append(arm)
    outcome = dict(metric=metric, arms=[arm.to_dict() for arm in arms])
    if len(arms) == 2:
        outcome['difference'] = arms[1].mean - arms[0].mean
        outcome['p_value'] = permutation_p_value(arms[0].test, arms[1].test)
    return outcome


def _set_checkpoint(model: ConfigDict, checkpoint: str) -> None:
    """Put the checkpoint wherever the model loads its backbone from."""
    found = [part for part in _parts(model)
             if (part.get('init_cfg') or {}).get('type') == 'Pretrained']
    for part in found:
        part.init_cfg.checkpoint = checkpoint
    if not found:
        model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.')


def _parts(cfg: ConfigDict) -> Iterator[ConfigDict]:
    """A module's config and those of its modules."""
    yield cfg
    for value in cfg.values():
        if isinstance(value, ConfigDict):
            yield from _parts(value)


def _check_weights(runner: Runner) -> None:
    """Verify after initialisation that the checkpoint matched; quietly."""
    init_weights = runner.model.init_weights

    def checked() -> None:
        init_weights()
        check_pretrained_init(runner.model)

    runner.model.init_weights = checked
    MMLogger.get_current_instance().setLevel(logging.ERROR)
