"""Tell whether the settings of a stage let the two levels meet."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.optim import Optimizer

from ...models.bissl_model import unwrap
from ...registry import HOOKS
from ...utils.check import check_keys
from ..steps.relaxation import AIM, clipped_gain, learning_rates, pull_of

#: Key of the backbone that the stage began with, in a checkpoint.
START = 'bissl_regime_start'
#: Key of R and of the losses of the head warm-up.
SAID = 'bissl_regime'
#: Values of the log whose means the last line gives, and their words.
MEANS = {
    'lower/pull': 'the pull of lambda was {:.2g} of the pretext gradient',
    'lower/clipped': '{:.0%} of the lower steps were clipped',
    'upper/clipped': '{:.0%} of the upper steps were clipped',
}


@HOOKS.register_module()
@check_keys
class RegimeHook(Hook):
    r"""Log how far :math:`\theta_P` can follow and does follow
    :math:`\theta_D`.

    It logs the relaxation times R of the stage, see
    :mod:`bissl_mm.engine.steps.relaxation`. With SGD it does so at the start.
    With LARS and Adam it needs gradients and states, and logs R after the first
    lower phase. If R is below ``least``, a warning says what to set. With every
    alternation it logs ``regime/lambda``, the weight of the regularizer, and
    ``regime/moved``. The latter is the share of the way from the first backbone
    to :math:`\theta_D` that :math:`\theta_P` has gone,

    .. math:: \langle \theta_P - \theta_0, \theta_D - \theta_0 \rangle /
              \|\theta_D - \theta_0\|^2 .

    It warns once if most upper steps are clipped, once if most lower steps of SGD are,
    and if the head warm-up ends with more than twice the loss that it began with. The
    last line says how far theta_P has gone, the mean pull, and the shares of clipped
    steps.

    Args:
        least (float): The warning comes if R is below this. Between it and 2 a
            line without warning proposes the same. Defaults to 0.5.
        aim (float): The R of the settings that the warning proposes. Defaults
            to 3.

    Attributes:
        start (list[Tensor], optional): The first backbone, on the CPU; None
            before training.
    """

    # Before the hook that logs, or the log would lag by one alternation.
    priority = 'NORMAL'

    def __init__(self, least: float = 0.5, aim: float = 3.0) -> None:
        self.least, self.aim = least, aim
        self.relaxation_times: float | None = None
        self.gain: float | None = None
        #: Lambda of every alternation, for which R was told.
        self._weights: list[float] = []
        self.start: list[Tensor] | None = None
        self._warned: set[str] = set()
        #: Losses of the head warm-up.
        self._head: list[float] = []
        #: Of the log's values in :data:`MEANS`, one per alternation of this run.
        self._values: dict[str, list[float]] = {key: [] for key in MEANS}

    def before_train(self, runner: Runner) -> None:
        """Log R now, or arrange to log it later."""
        if self.start is None:
            self.start = [
                p.detach().cpu().clone() for p in unwrap(runner.model).lower_backbone()
            ]
        settings, wrapper = runner.train_loop.settings, runner.optim_wrapper
        steps = settings.total_steps('lower')
        weights = wrapper.regularizer.weights(settings.num_alternations)
        changed = self._weights and self._weights != weights
        known = self.relaxation_times is not None
        if not steps or not any(weights) or known and not changed:
            return
        optimizer = wrapper['lower'].optimizer
        lr = optimizer.defaults['lr']
        # A resumed run has made its first alternations with another lambda.
        mixed = self._weights[: runner.iter] + weights[runner.iter :]
        self._weights = mixed if changed and len(mixed) == len(weights) else weights
        pull = pull_of(self._weights, learning_rates(runner.cfg, lr, steps))
        if known and self.gain is not None:
            self._say(runner, pull, self.gain)
            return
        params = unwrap(runner.model).lower_backbone()
        if type(optimizer).__name__ == 'SGD':
            self.tell(runner, pull, optimizer, params)
            return
        # Before its first step Adam has no averages.
        number = max(2, settings.num_lower_steps)
        factors: list[float | None] = []

        def before_step(factor: float | None) -> None:
            factors.append(factor)
            # Adam's averages need some steps.
            if len(factors) == number:
                self.tell(runner, pull, optimizer, params, factors)
                del wrapper.before_step['lower']

        wrapper.before_step['lower'] = before_step

    def after_head_warmup_step(self, runner: Runner, logs: dict[str, float]) -> None:
        """Keep the loss."""
        self._head.append(logs['loss'])

    def after_head_warmup(self, runner: Runner) -> None:
        """Warn if the head has diverged: the stage would begin with it."""
        losses = self._head[-max(1, len(self._head) // 10) :]
        if not losses or not sum(losses) / len(losses) > 2 * self._head[0] > 0:
            return
        # Without an optimizer of its own it has the upper level's.
        own = runner.cfg.get('optim_wrapper', {}).get('head_warmup') or {}
        level = 'head_warmup' if 'optimizer' in own else 'upper'
        rate = runner.optim_wrapper.head_warmup.optimizer.defaults['lr']
        runner.logger.warning(
            f'The head warm-up began with a loss of {self._head[0]:.3g} and ended with '
            f'{sum(losses) / len(losses):.3g}: its steps are too long for this head. '
            f'Lower optim_wrapper.{level}.optimizer.lr, which is {rate:g}.'
        )

    def on_exit(self, runner: Runner) -> None:
        """Stop looking at the steps."""
        runner.optim_wrapper.before_step.pop('lower', None)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, float] | None = None,
    ) -> None:
        """Log how far theta_P has moved, and warn if steps are clipped."""
        moved = self.moved(runner)
        if moved is not None:
            runner.message_hub.update_scalar('train/regime/moved', moved)
        weight = runner.optim_wrapper.regularizer.weight
        runner.message_hub.update_scalar('train/regime/lambda', weight)
        outputs = outputs or {}
        for key, values in self._values.items():
            if key in outputs:
                values.append(outputs[key])
        for level, harm in self._harm_of_clipping(runner).items():
            share = outputs.get(f'{level}/clipped', 0.0)
            if share > 0.5 and level not in self._warned:
                self._warned.add(level)
                runner.logger.warning(
                    f'{share:.0%} of the {level} steps of alternation '
                    f'{batch_idx + 1} were clipped: {harm} Raise optim_wrapper.'
                    f'{level}.clip_grad.max_norm, or lower the learning rate. Said '
                    'once.'
                )

    def after_train(self, runner: Runner) -> None:
        """Say how far theta_P has gone, and what moved it."""
        moved = self.moved(runner)
        parts = []
        if moved is not None:
            parts.append(f'theta_P went {moved:.0%} of the way toward theta_D')
        for key, text in MEANS.items():
            values = [v for v in self._values[key] if math.isfinite(v)]
            if values:
                parts.append(text.format(sum(values) / len(values)))
        if parts:
            means = max(map(len, self._values.values()))
            since = 0 < means < runner.train_loop.max_iters
            runner.logger.info(
                f'In this stage {"; ".join(parts)}'
                f'{" (the last ones since the run was resumed)" if since else ""}.'
            )

    @staticmethod
    def _harm_of_clipping(runner: Runner) -> dict[str, str]:
        """What clipping does to each level that it harms."""
        harm = dict(upper='their length is then lr * max_norm, whatever the gradient.')
        # Steps of LARS and Adam do not depend on the gradient's length.
        if type(runner.optim_wrapper['lower'].optimizer).__name__ == 'SGD':
            harm['lower'] = 'then lambda pulls less, and R is lower than was said.'
        return harm

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the first backbone and what was said for a resumed run."""
        if self.start is not None:
            checkpoint[START] = self.start
        checkpoint[SAID] = dict(
            relaxation_times=self.relaxation_times,
            gain=self.gain,
            head=self._head,
            weights=self._weights,
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read them."""
        if runner._resume and START in checkpoint:
            # The checkpoint's tensors come to the model's device.
            self.start = [tensor.cpu() for tensor in checkpoint[START]]
        if runner._resume:
            # R is that of the whole stage, and is measured at its beginning.
            said = checkpoint.get(SAID, {})
            self.relaxation_times = said.get('relaxation_times')
            self.gain, self._head = said.get('gain'), list(said.get('head', []))
            self._weights = list(said.get('weights', []))

    def tell(
        self,
        runner: Runner,
        pull: float,
        optimizer: Optimizer,
        params: list[Tensor],
        clipping: Sequence[float | None] = (1.0,),
    ) -> None:
        """Log R, and what to set if it is outside the aim.

        Args:
            runner (Runner): Its regularizer and its length are proposed anew.
            pull (float): Sum of lambda times learning rate of all lower steps.
            optimizer (Optimizer): Of the lower level. Nothing is said of one that
                :func:`clipped_gain` does not know.
            params (list[Tensor]): The tensors.
            clipping (Sequence[float]): What clipping multiplied the gradients with.
        """
        shares = runner.optim_wrapper.regularizer.shares(params)
        self.gain = clipped_gain(optimizer, params, shares, clipping)
        if self.gain is not None:
            self._say(runner, pull, self.gain)

    def _say(self, runner: Runner, pull: float, gain: float) -> None:
        times = self.relaxation_times = pull * gain
        text = (
            f'theta_P relaxes R = {times:.2g} times toward theta_D in '
            f'this stage (lambda times learning rate: {pull:.3g} in all, gain '
            f'{gain:.3g}).'
        )
        if uncounted := runner.optim_wrapper.regularizer.uncounted:
            text += f' {uncounted}'
        if times < self.least:
            text += (
                ' So theta_P will hardly follow it, and the stage is little but '
                'further pretraining.'
            )
        factor = self.aim / times if times else math.inf
        if not AIM[0] <= times <= AIM[1] and math.isfinite(factor):
            text += self._proposal(runner, factor)
        log = runner.logger.info if times >= self.least else runner.logger.warning
        log(text)

    def _proposal(self, runner: Runner, factor: float) -> str:
        """What gives an R that is ``factor`` times this one."""
        settings = runner.optim_wrapper.regularizer.scaled(factor).items()
        proposed = ' '.join(
            f'optim_wrapper.regularizer.{key}={value:.2g}' for key, value in settings
        )
        alternations = math.ceil(runner.train_loop.max_iters * factor)
        text = f' Aim at {AIM[0]:g} to {AIM[1]:g}: set {proposed}'
        # A shorter stage has fewer upper steps, too.
        if factor > 1:
            text += f', or train_cfg.num_alternations={alternations}'
        return f'{text}.'

    @torch.no_grad()
    def moved(self, runner: Runner) -> float | None:
        """The share of the way that theta_P has gone; None before training, and
        while theta_D has not moved."""
        model = unwrap(runner.model)
        if self.start is None:
            return None
        along = length = 0.0
        for start, p, d in zip(
            self.start, model.lower_backbone(), model.upper_backbone(), strict=True
        ):
            way = (d.cpu() - start).flatten().double()
            along += torch.dot((p.cpu() - start).flatten().double(), way).item()
            length += torch.dot(way, way).item()
        return along / length if length else None
