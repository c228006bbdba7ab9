"""Tell whether the settings of a stage let the two levels meet."""

import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ...models.bissl_model import unwrap
from ...registry import HOOKS
from ...utils.check import check_keys
from ..steps.relaxation import gains, learning_rates, median_of_elements, pull_of

#: Key of the backbone that the stage began with, in a checkpoint.
START = 'bissl_regime_start'


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

    It warns once if most upper steps are clipped.

    Args:
        least (float): The warning comes if R is below this. Defaults to 0.5.
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
        self._handle: Any = None
        self.start: list[Tensor] | None = None
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Log R now, or arrange to log it later."""
        if self.start is None:
            self.start = [
                p.detach().cpu().clone() for p in unwrap(runner.model).lower_backbone()
            ]
        settings, wrapper = runner.train_loop.settings, runner.optim_wrapper
        steps = settings.total_steps('lower')
        weights = wrapper.regularizer.weights(settings.num_alternations)
        if not steps or not any(weights):
            return
        optimizer = wrapper['lower'].optimizer
        lr = optimizer.defaults['lr']
        pull = pull_of(weights, learning_rates(runner.cfg, lr, steps))
        params = unwrap(runner.model).lower_backbone()
        if type(optimizer).__name__ == 'SGD':
            self._tell(runner, pull, gains(optimizer, params), params)
            return
        number = settings.num_lower_steps
        count = [0]

        def before_step(*args: Any) -> None:
            count[0] += 1
            # Adam's averages need some steps.
            if count[0] == number:
                self._tell(runner, pull, gains(optimizer, params), params)
                self._handle.remove()
                self._handle = None

        self._handle = optimizer.register_step_pre_hook(before_step)

    def on_exit(self, runner: Runner) -> None:
        """Remove the handle from the optimizer."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

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
        share = (outputs or {}).get('upper/clipped', 0.0)
        if share > 0.5 and not self._warned:
            self._warned = True
            runner.logger.warning(
                f'{share:.0%} of the upper steps of alternation '
                f'{batch_idx + 1} were clipped: their length is then '
                'lr * max_norm, whatever the gradient. Raise optim_wrapper.'
                'upper.clip_grad.max_norm, or lower the learning rate. Said '
                'once.'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the first backbone for a resumed run."""
        if self.start is not None:
            checkpoint[START] = self.start

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the first backbone."""
        if runner._resume and START in checkpoint:
            # The checkpoint's tensors come to the model's device.
            self.start = [tensor.cpu() for tensor in checkpoint[START]]

    def _tell(
        self,
        runner: Runner,
        pull: float,
        factors: list[float] | None,
        params: list[Tensor],
    ) -> None:
        if factors is None:
            return
        shares = runner.optim_wrapper.regularizer.shares(params)
        gain = self.gain = median_of_elements(
            [f * share for f, share in zip(factors, shares, strict=True)], params
        )
        times = self.relaxation_times = pull * gain
        alternations = runner.train_loop.max_iters
        text = (
            f'theta_P relaxes R = {times:.2g} times toward theta_D in '
            f'this stage (lambda times learning rate: {pull:.3g} in all, gain '
            f'{gain:.3g}).'
        )
        if times >= self.least:
            runner.logger.info(text)
            return
        factor = self.aim / times if times else math.inf
        if math.isfinite(factor):
            settings = runner.optim_wrapper.regularizer.scaled(factor).items()
            proposed = ' '.join(
                f'optim_wrapper.regularizer.{key}={value:.2g}'
                for key, value in settings
            )
            text += (
                ' So theta_P will hardly follow it, and the stage is little but '
                'further pretraining. Aim at 2 to 10: set '
                f'{proposed}, or '
                f'train_cfg.num_alternations={math.ceil(alternations * factor)}.'
            )
        runner.logger.warning(text)

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
