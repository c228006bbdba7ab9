"""Progress, streams, seeds and the request to stop, around Algorithm 1."""

from typing import Any, NoReturn

from mmengine.dist import get_rank
from mmengine.runner import Runner

from ...datasets import LevelStream
from ...models.bissl_model import unwrap
from ...utils.random import fold_seed
from ..distributed import any_rank
from .progress import HUB_KEY, Progress
from .resume_guard import ResumeGuardHook
from .schedules import step_schedules, take_over_schedules
from .settings import LoopSettings


class Bookkeeping:
    """What lets a loop of phases stop after any step and go on from there.

    It keeps the progress where checkpoints find it, draws batches and seeds
    by it, steps the schedules and listens for a request to stop. What the
    phases are is the loop's.

    Args:
        runner (Runner): The runner. Its hooks and ``param_schedulers``
            configs are changed.
        settings (LoopSettings): The loop's settings.
        streams (dict[str, LevelStream]): One a level.

    Attributes:
        progress (Progress): Where the run stands.
        iteration (int): Of the alternation that is running, from 0; that of
            ``progress`` moves on before the hooks at its end, this one after
            them, as mmengine's loops do.
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
        # A hub of an earlier run in this process may carry the same name.
        runner.message_hub.pop_info(HUB_KEY, None)
        take_over_schedules(runner, settings)
        runner.register_hook(ResumeGuardHook())

    def request_stop(self, signal_number: int) -> None:
        """Stop after the current step, with a checkpoint.

        Args:
            signal_number (int): The process exits with 128 plus this.
        """
        self._stop_signal = signal_number

    def stop_if_requested(self) -> None:
        """Leave with a checkpoint if any process was asked to."""
        device = next(self.runner.model.parameters()).device
        if any_rank(self._stop_signal is not None, device):
            self._leave()

    def _leave(self) -> NoReturn:
        self.runner.call_hook('on_stop')
        raise SystemExit(128 + (self._stop_signal or 15))

    def begin(self) -> None:
        """Take up the progress of a checkpoint, or start anew."""
        hub = self.runner.message_hub
        if HUB_KEY in hub.runtime_info:
            self.progress = Progress(**hub.get_info(HUB_KEY))
            self.settings.check_resumable(self.progress.settings)
            self._warn_of_changes(self.progress.settings)
            self.runner.logger.info(f'Resumed at {self.progress.describe()}.')
        else:
            model = unwrap(self.runner.model)
            model.copy_backbone_to_upper()
            model.restart_targets()
            if self.settings.head_warmup is None:
                self.progress.enter('lower')
        self.iteration = self.progress.alternation
        self.progress.settings = {
            **self.settings.fingerprint(),
            **self.runner.optim_wrapper.settings(),
        }
        for name, stream in self.streams.items():
            stream.start(self.runner.seed, self.progress.streams.get(name))
        self.publish()

    def _warn_of_changes(self, saved: dict[str, object]) -> None:
        for key, value in self.runner.optim_wrapper.settings().items():
            # An older checkpoint does not know every setting.
            if saved.get(key, value) != value:
                self.runner.logger.warning(
                    f'{key} is {value} now but was {saved[key]} when the '
                    'checkpoint was written; the run goes on with the new '
                    'one.'
                )

    def finish_step(
        self, phase: str, logs: dict[str, float], then: str | None = None
    ) -> None:
        """After a step; checkpoints are written from its hook.

        Args:
            phase (str): Of the step.
            logs (dict[str, float]): Of the step.
            then (str, optional): The phase that follows, where this was its
                last step. Defaults to None.
        """
        step_schedules(self.runner, phase)
        self.progress.record(phase, logs)
        self.progress.step += 1
        if phase == 'head_warmup':
            epoch, rest = divmod(self.progress.step, len(self.streams['head_warmup']))
            if rest == 0:
                self._log_warmup_epoch(epoch)
        if then is not None:
            self.progress.enter(then)
        self.publish()
        self.runner.call_hook(f'after_{phase}_step', logs=logs)
        self.stop_if_requested()

    def _log_warmup_epoch(self, epoch: int) -> None:
        means = self.progress.pop_means()
        num_epochs = self.settings.head_warmup['num_epochs']
        text = '  '.join(f'{key}: {mean:.4f}' for key, mean in means.items())
        self.runner.logger.info(f'Head warm-up [{epoch}/{num_epochs}]  {text}')
        self.runner.visualizer.add_scalars(means, step=epoch)

    def publish(self) -> None:
        """Put the progress where every checkpoint takes it along."""
        for name, stream in self.streams.items():
            self.progress.streams[name] = stream.state_dict()
        self.runner.message_hub.update_info(HUB_KEY, self.progress.to_dict())

    def next_batch(self, level: str) -> Any:
        """The next one of a level's stream."""
        try:
            return self.streams[level].next()
        except RuntimeError:
            # A signal to the whole process group ends the workers too. Other
            # ranks may not be here, so this one leaves without asking them.
            if self._stop_signal is None:
                raise
            self._leave()

    def seed(self, phase: str, step: int | None = None) -> int:
        """Of a step of this rank; of the present one by default."""
        step = self.progress.step if step is None else step
        return fold_seed(self.runner.seed, phase, get_rank(), self.iteration, step)

    def validate_if_due(self) -> None:
        """Evaluate after an alternation, or after a resume before it."""
        if not self.progress.validation_due:
            return
        if self.runner.val_loop is not None:
            self.runner.val_loop.run()
            self.runner.model.train()
        self.progress.validation_due = False
        self.publish()
        self.stop_if_requested()

    def close(self) -> None:
        """End the streams; say what they could not read."""
        for name, stream in self.streams.items():
            if stream.unreadable:
                self.runner.logger.warning(
                    f'{name} level: {len(stream.unreadable)} unreadable '
                    'image(s) were skipped: '
                    f'{", ".join(stream.unreadable[:20])}'
                )
            stream.close()
