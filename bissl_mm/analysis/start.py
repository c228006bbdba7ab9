"""Recommends settings to start a stage with, from its sizes and its optimizer.

R, the relaxation times of :mod:`bissl_mm.engine.steps.relaxation`, decides whether
theta_P can follow theta_D. With SGD, R follows from the config alone. LARS scales the
learning rate per tensor and Adam per weight, by the gradients of the pretext data. With
them, a few lower steps are made and thrown away.
"""

import copy
import itertools
import math
import os.path as osp
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner

from ..config.types import is_type, type_name
from ..datasets.folders import check_data_folders
from ..engine.hooks.regime_hook import RegimeHook
from ..engine.launch import build_runner
from ..engine.steps.relaxation import AIM, learning_rates, lower_schedules, pull_of
from ..hypergradient import Regularizer
from ..registry import build_regularizer
from ..utils.check import check_positive_int
from ..utils.errors import TypeRefusal, ValueRefusal

LEAST, MOST = AIM
#: Lower steps after which the gain of LARS and Adam is taken.
MEASURED_STEPS = 5
#: The fewest upper steps of a stage in benchmarks/evidence.
LEAST_UPPER_STEPS = 120
UNTRAINED = (
    'The backbone is untrained (model.pretrained=None). Its gradients, and R with '
    'them, say nothing about a pretrained one: set model.pretrained.'
)
KEY = 'optim_wrapper.regularizer'
#: Keys of ``paramwise_cfg`` and its ``custom_keys`` that leave learning rates alone.
_WITHOUT_RATES = {
    'decay_mult',
    'weight_decay',
    'bias_decay_mult',
    'norm_decay_mult',
    'flat_decay_mult',
    'dwconv_decay_mult',
    'bypass_duplicate',
}
_CONSTRUCTORS = ('', 'DefaultOptimWrapperConstructor')


@dataclass
class Start:
    """A stage's sizes.

    Args:
        alternations (int): T.
        lower_steps, upper_steps (int): N_L and N_U.
        regularizer (Regularizer): The regularizer with its lambda.
        pull (float): Sum of lambda times learning rate of all lower steps.
        gain (float): Over all elements, how far theta_P goes in the long
            run per unit of gradient and learning rate.
        images, labels (tuple[int | None, int]): Number and batch size, over
            all processes, of pretext images and of labeled images.
        note (str): What makes these numbers doubtful. Defaults to ``''``.
    """

    alternations: int
    lower_steps: int
    upper_steps: int
    regularizer: Regularizer
    pull: float
    gain: float
    images: tuple[int | None, int]
    labels: tuple[int | None, int]
    note: str = ''

    @property
    def relaxation_times(self) -> float:
        """R, of :mod:`bissl_mm.engine.steps.relaxation`."""
        return self.pull * self.gain

    def weights(self) -> dict[str, tuple[float, float]]:
        """Values at which R is 2 and 10, by the settings of the regularizer."""
        low, high = (
            self.regularizer.scaled(times / self.relaxation_times) for times in AIM
        )
        return {key: (low[key], high[key]) for key in low}

    def lengths(self) -> tuple[int, int]:
        """T at which R is 2 and 10, with N_L as it is."""
        one = self.relaxation_times / self.alternations
        return math.ceil(LEAST / one), math.ceil(MOST / one)

    def lines(self) -> list[str]:
        """Lines that describe the stage, and a line that says what to type."""
        T, times = self.alternations, self.relaxation_times
        low, high = self.lengths()
        now = self.regularizer.scaled(1.0)
        ranges = ' and '.join(
            f'{KEY}.{key} of {_range(*values)}, where it is {now[key]:g}'
            for key, values in self.weights().items()
        )
        lines = [
            f'The stage has T = {T} alternations of {self.lower_steps} lower and '
            f'{self.upper_steps} upper steps.',
            _passes('Lower level', 'images', T * self.lower_steps, *self.images),
            _passes(
                'Upper level', 'labeled images', T * self.upper_steps, *self.labels
            ),
            f'theta_P relaxes R = {times:.2g} times toward theta_D (lambda times '
            f'learning rate: {self.pull:.3g} in all, gain {self.gain:.3g}).',
            f'R is {LEAST:g} to {MOST:g} at {ranges}, or at T = {low} to {high}.',
        ]
        lines += filter(None, (self.note, self.regularizer.uncounted))
        options = self.options()
        if options:
            lines.append('Recommended: --cfg-options ' + ' '.join(options))
        else:
            lines.append('Recommended: leave T and lambda as they are.')
        return lines

    def options(self) -> list[str]:
        """Settings to change, as ``--cfg-options`` takes them."""
        options = []
        alternations = self.alternations
        if alternations * self.upper_steps < LEAST_UPPER_STEPS:
            alternations = math.ceil(LEAST_UPPER_STEPS / self.upper_steps)
            options.append(f'train_cfg.num_alternations={alternations}')
        times = self.relaxation_times * alternations / self.alternations
        if not LEAST <= times <= MOST:
            middle = math.sqrt(LEAST * MOST)
            options += [
                f'{KEY}.{key}={value:.2g}'
                for key, value in self.regularizer.scaled(middle / times).items()
            ]
        return options


def start_of(
    cfg: Config, images: int | None = None, labels: int | None = None
) -> Start:
    """Read a stage's sizes; with LARS and Adam, make a few lower steps.

    Args:
        cfg (Config): Config of a bilevel stage; not changed.
        images, labels (int, optional): Numbers of images instead of those of
            the data sets. If the lower optimizer is SGD, with the same rate and
            factor for all tensors, the data sets then need not exist.

    Raises:
        TypeError: If the config is not of a bilevel stage.
        ValueError: If lambda or N_L is 0, or if T or N_U is no whole number of
            at least 1.
        FileNotFoundError: If data that have to be counted are missing.
    """
    loop = cfg.get('train_cfg') or {}
    if not is_type(loop, 'BiSSLTrainLoop'):
        raise TypeRefusal(
            f'{cfg.filename}: train_cfg.type is {loop.get("type")!r}, so the config '
            'is not of a bilevel stage. Type a config of configs/bissl.'
        )
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    regularizer = build_regularizer(cfg.optim_wrapper.get('regularizer') or {})
    alternations = loop.get('num_alternations', 500)
    lower_steps = loop.get('num_lower_steps', 20)
    upper_steps = loop.get('num_upper_steps', 8)
    for key, value in (
        ('num_alternations', alternations),
        ('num_upper_steps', upper_steps),
    ):
        check_positive_int('train_cfg', key, value)
    steps = alternations * lower_steps
    weights = regularizer.weights(alternations)
    if not any(weights) or not steps:
        raise ValueRefusal(
            f'theta_P cannot follow theta_D at {KEY}.weight={weights[0]:g} and '
            f'train_cfg.num_lower_steps={lower_steps}. Set both to positive numbers.'
        )
    counted = dict(pretext=images, train=labels)
    check_data_folders(cfg, [p for p, number in counted.items() if number is None])
    optimizer = cfg.optim_wrapper.lower.optimizer
    return Start(
        alternations,
        lower_steps,
        upper_steps,
        regularizer,
        pull_of(weights, learning_rates(cfg, optimizer.lr, steps)),
        _gain(cfg),
        _size(loop.pretext_dataloader, images),
        _size(cfg.train_dataloader, labels),
        '' if is_type(optimizer, 'SGD') or _is_pretrained(cfg) else UNTRAINED,
    )


def _gain(cfg: Config) -> float:
    """``Start.gain``: by formula for plain SGD, by a few steps for the others.

    Raises:
        ValueError: If it is 0.
    """
    optimizer = cfg.optim_wrapper.lower.optimizer
    if is_type(optimizer, 'SGD') and not _differs(cfg):
        momentum = optimizer.get('momentum', 0.0)
        dampening = optimizer.get('dampening', 0.0) if momentum else 0.0
        gain = (1 - dampening) / (1 - momentum)
    else:
        gain = _measured_gain(cfg)
    if not gain:
        raise ValueRefusal(
            f'Most of theta_P has a factor of 0 in {KEY}.factors, so R is 0 at any '
            'weight. Choose lambda and T yourself.'
        )
    return gain


def _differs(cfg: Config) -> bool:
    """Whether tensors have rates or factors of their own."""
    wrapper = cfg.optim_wrapper
    paramwise = dict(wrapper.lower.get('paramwise_cfg') or {})
    custom = (paramwise.pop('custom_keys', None) or {}).values()
    given = {key for settings in (paramwise, *custom) for key in settings}
    return (
        not given <= _WITHOUT_RATES
        # A constructor of the user's may do anything.
        or type_name(wrapper.lower.get('constructor')) not in _CONSTRUCTORS
        or bool((wrapper.get('regularizer') or {}).get('factors'))
    )


def _is_pretrained(cfg: Config) -> bool:
    return bool(cfg.model.get('pretrained') or cfg.get('load_from'))


class _Enough(Exception):
    """Ends the run when its first lower phase is over."""


class _End(Hook):
    def before_upper_phase(self, runner: Runner) -> None:
        raise _Enough


def _measured_gain(cfg: Config) -> float:
    cfg = copy.deepcopy(cfg)
    loop = cfg.train_cfg
    steps = loop.get('num_alternations', 500) * loop.get('num_lower_steps', 20)
    # Adam needs a step before.
    phase = max(2, min(MEASURED_STEPS, loop.get('num_lower_steps', 20)))
    # With as many steps in all, no schedule begins after the last one.
    sizes = dict(num_lower_steps=phase, num_alternations=math.ceil(steps / phase))
    loop.update(sizes, head_warmup=None)
    for one in lower_schedules(cfg):
        one.setdefault('end', steps)
    cfg.resume = False
    keys = ('cfg', 'dataloader', 'evaluator')
    for part, key in itertools.product(('val', 'test'), keys):
        cfg[f'{part}_{key}'] = None
    cfg.custom_hooks = []
    # Its own R is of other sizes.
    cfg.log_level = 'WARNING'
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        # mmengine shares a logger between runs of one name in one second.
        cfg.experiment_name = osp.basename(folder)
        runner = build_runner(cfg)
        regime = RegimeHook(least=0.0)
        runner.register_hook(regime)
        runner.register_hook(_End())
        with suppress(_Enough):
            runner.train()
    if regime.gain is None:
        raise ValueRefusal(
            'R is not known for optim_wrapper.lower.optimizer.type='
            f'{cfg.optim_wrapper.lower.optimizer.type!r}. Known are SGD, LARS and '
            'the kinds of Adam. Set one of them, or choose lambda and T yourself.'
        )
    return regime.gain


def _size(loader: Any, number: int | None) -> tuple[int | None, int]:
    batch = loader.get('total_batch_size') or loader.batch_size
    if number is None:
        number = len(DATASETS.build(loader.dataset))
    return number, batch


def _passes(level: str, what: str, steps: int, number: int, batch: int) -> str:
    return (
        f'{level}: {steps} steps of {batch} {what}, {steps * batch / number:.3g} '
        f'passes over {number}.'
    )


def _range(low: float, high: float) -> str:
    return f'{low:.2g} to {high:.2g}'
