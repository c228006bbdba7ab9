"""What Algorithm 1 needs around it: progress, streams, seeds, stopping."""

import math
from typing import Any, NoReturn

from mmengine.dist import get_rank
from mmengine.runner import Runner

from ...datasets import LevelStream
from ...models.bissl_model import unwrap
from ...utils.random import fold_seed
from ..checks.out_of_memory import memory_phase
from ..distributed import any_rank
from .loader_shield import LoaderShieldHook
from .progress import HUB_KEY, Progress
from .resume_guard import ResumeGuardHook
from .schedules import step_schedules, take_over_schedules
from .settings import LoopSettings
from .stock_parts import take_over_logs

#: Of an optimizer: how it computes, not what.
_OF_THE_MACHINE = ('foreach', 'fused', 'capturable', 'differentiable')


class Bookkeeping:
    """Lets a loop of phases stop after any step and continue from there.

    It keeps the progress where checkpoints find it. From the progress it draws
    batches and seeds. It steps the schedules and handles a request to stop. The
    loop itself defines the phases.

    Args:
        runner (Runner): The runner. Its hooks and ``param_schedulers``
            configs are changed.
        settings (LoopSettings): The loop's settings.
        streams (dict[str, LevelStream]): One stream per level.

    Attributes:
        progress (Progress): The place that the run has reached.
        iteration (int): Number of the running alternation, from 0. It grows
            after the hooks at the end of the alternation, as in mmengine's
            loops. The number in ``progress`` grows before them.
    """

    def __init__(
        self, runner: Runner, settings: LoopSettings, streams: dict[str, LevelStream]
    ) -> None:
        self.runner = runner
        self.settings = settings
        self.streams = streams
        self.progress = Progress()
        self.iteration = 0
        self._stop_signal: int | None = None
        # An earlier run in this process may have used a hub of the same name.
        runner.message_hub.pop_info(HUB_KEY, None)
        take_over_schedules(runner, settings)
        take_over_logs(runner)
        runner.register_hook(ResumeGuardHook())
        runner.register_hook(LoaderShieldHook())

    def request_stop(self, signal_number: int) -> None:
        """Stop after the current step, with a checkpoint.

        Args:
            signal_number (int): The process exits with 128 plus this.
        """
        self._stop_signal = signal_number

    def stop_if_requested(self) -> None:
        """Write a checkpoint and leave, if any process was asked to.

        All processes call it at the same places, which are before the first
        collective of a step. None leaves alone: the others would wait for it.
        """
        if any_rank(self._stop_signal is not None):
            self._leave()

    def _leave(self) -> NoReturn:
        self.runner.call_hook('on_stop')
        raise SystemExit(128 + (self._stop_signal or 15))

    def begin(self) -> None:
        """Continue from the progress of a checkpoint, or start anew."""
        hub = self.runner.message_hub
        if HUB_KEY in hub.runtime_info:
            self.progress = Progress(**hub.get_info(HUB_KEY))
            self.settings.check_resumable(self.progress)
            self._warn_of_changes(self.progress.settings)
            self.runner.logger.info(f'Resumed at {self.progress.describe()}.')
        else:
            model = unwrap(self.runner.model)
            model.copy_backbone_to_upper()
            model.restart_targets()
            if self.settings.head_warmup is None:
                self.progress.enter('lower')
        self.iteration = self.progress.alternation
        saved = self.progress.settings
        self.progress.settings = {
            **self.settings.fingerprint(),
            **self._of_steps(),
            # Their state is that of the checkpoint.
            **{key: saved.get(key, v) for key, v in self._of_optimizers().items()},
        }
        for name, stream in self.streams.items():
            stream.start(self.runner.seed, self.progress.streams.get(name))
        self.publish()

    def _warn_of_changes(self, saved: dict[str, object]) -> None:
        for key, value in self._of_steps().items():
            # An older checkpoint does not know every setting.
            if saved.get(key, value) != value:
                self.runner.logger.warning(
                    f'{key} is {value} now but was {saved[key]} when the '
                    'checkpoint was written. The run continues with the new '
                    'value.'
                )

        for key, value in self._of_optimizers().items():
            if saved.get(key, value) != value:
                self.runner.logger.warning(
                    f'{key} is {value} now but was {saved[key]} when the checkpoint '
                    'was written. The run continues with the old value; start anew to '
                    'change it.'
                )

    def _of_steps(self) -> dict[str, object]:
        """What steps are made with, by its place in a config."""
        wrapper = self.runner.optim_wrapper
        return wrapper.settings() | {
            f'optim_wrapper.{level}.clip_grad': value
            for level, value in wrapper.clip_grad.items()
        }

    def _of_optimizers(self) -> dict[str, object]:
        """What a checkpoint's optimizers and schedules bring along, by its place in a
        config."""
        wrapper = self.runner.optim_wrapper
        levels = {level: wrapper[level] for level in ('lower', 'upper')}
        schedules = self.runner.cfg.get('param_scheduler') or {}
        return {
            f'optim_wrapper.{level}.optimizer.{name}': value
            for level, own in dict(levels, head_warmup=wrapper.head_warmup).items()
            for name, value in own.optimizer.defaults.items()
            if name not in _OF_THE_MACHINE
        } | {
            f'param_scheduler.{level}': repr(schedules[level])
            for level in levels
            if level in schedules
        }

    def finish_step(
        self, phase: str, logs: dict[str, float], then: str | None = None
    ) -> None:
        """Record a step and call its hooks, which may write a checkpoint.

        A request to stop is answered before the next step.

        Args:
            phase (str): The phase of the step.
            logs (dict[str, float]): The logs of the step.
            then (str, optional): The next phase, if this was the last step of
                its phase. Defaults to None.
        """
        step_schedules(self.runner, phase)
        self.progress.record(phase, logs)
        self.progress.step += 1
        if phase == 'head_warmup':
            self._log_warmup_if_due()
        if then is not None:
            self.progress.enter(then)
        self.publish()
        self.runner.call_hook(f'after_{phase}_step', logs=logs)

    def _log_warmup_if_due(self) -> None:
        """Log the means of a pass, or of the part of one that ends the warm-up."""
        num_batches = len(self.streams['head_warmup'])
        step, last = self.progress.step, self.settings.head_warmup_steps(num_batches)
        if step % num_batches and step != last:
            return
        means = self.progress.pop_means()
        text = '  '.join(f'{key}: {mean:.4f}' for key, mean in means.items())
        passes = '/'.join(f'{round(n / num_batches, 2):g}' for n in (step, last))
        self.runner.logger.info(f'Head warm-up [{passes}]  {text}')
        self.runner.visualizer.add_scalars(means, step=math.ceil(step / num_batches))

    def publish(self) -> None:
        """Put the progress where every checkpoint stores it."""
        for name, stream in self.streams.items():
            self.progress.streams[name] = stream.state_dict()
        self.runner.message_hub.update_info(HUB_KEY, self.progress.to_dict())

    def next_batch(self, level: str) -> Any:
        """The next batch of a level's stream, for a step that begins with it.

        If any process was asked to stop, all leave here. The checkpoint has the
        place from before this batch.
        """
        batch = None
        try:
            batch = self.streams[level].next()
        except RuntimeError:
            # A signal to the whole process group also ends the workers.
            if self._stop_signal is None:
                raise
        self.stop_if_requested()
        return batch

    def seed(self, phase: str, step: int | None = None) -> int:
        """The seed of a step on this rank, by default of the current one."""
        step = self.progress.step if step is None else step
        return fold_seed(self.runner.seed, phase, get_rank(), self.iteration, step)

    def hessian_seed(self) -> int | list[int]:
        """The seed of an upper phase's Hessian; those of the last lower steps where
        these are differentiated."""
        settings = self.settings
        if settings.hessian_batches != 'last':
            return self.seed('hessian', step=0)
        steps = range(settings.first_hessian_batch, settings.num_lower_steps)
        return [self.seed('lower', step) for step in steps]

    def validate_if_due(self) -> None:
        """Evaluate if that is due, also right after a resume."""
        if not self.progress.validation_due:
            return
        self.stop_if_requested()
        if self.runner.val_loop is not None:
            with memory_phase('validation'):
                self.runner.val_loop.run()
            self.runner.model.train()
        self.progress.validation_due = False
        self.publish()
        self.stop_if_requested()

    def close(self) -> None:
        """End the streams and warn of images that they could not read."""
        for name, stream in self.streams.items():
            if stream.unreadable:
                self.runner.logger.warning(
                    f'{name} level: {len(stream.unreadable)} unreadable '
                    'image(s) were skipped: '
                    f'{", ".join(stream.unreadable[:20])}'
                )
            stream.close()
