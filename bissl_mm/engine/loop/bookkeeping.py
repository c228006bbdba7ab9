"""What every phase of the bilevel stage needs around its steps."""

from typing import Any, Dict, NoReturn, Optional

from mmengine.runner import BaseLoop, Runner

from ...datasets import LevelStream
from ...models.bissl_model import unwrap
from ...utils.random import fold_seed
from ..distributed import any_rank, get_rank
from .resume_guard import ResumeGuardHook
from .settings import LoopSettings
from .progress import HUB_KEY, Progress
from .schedules import step_schedules, take_over_schedules


class PhaseLoop(BaseLoop):
    """A loop of phases that can stop after any step and go on from there.

    It keeps the progress where checkpoints find it, draws batches and seeds
    by it, steps the schedules and listens for a request to stop. What the
    phases are is the subclass's, see :class:`BiSSLTrainLoop`.

    Args:
        runner (Runner): The runner. Its hooks and ``param_schedulers``
            configs are changed.
        settings (LoopSettings): The loop's settings.
        streams (dict[str, LevelStream]): One a level; ``'upper'`` is the
            config's ``train_dataloader``.
    """

    def __init__(self, runner: Runner, settings: LoopSettings,
                 streams: Dict[str, LevelStream]) -> None:
        super().__init__(runner, streams['upper'])
        self.settings = settings
        self.streams = streams
        self.model = unwrap(runner.model)
        self.progress = Progress()
        self.stop_training = False
        self._stop_signal: Optional[int] = None
        self._epoch = 0
        self._iter = 0
        # A hub of an earlier run in this process may carry the same name.
        runner.message_hub.pop_info(HUB_KEY, None)
        take_over_schedules(runner, settings)
        runner.register_hook(ResumeGuardHook())
        runner.visualizer.dataset_meta = getattr(self.dataloader.dataset,
                                                 'metainfo', None)

    @property
    def max_epochs(self) -> int:
        """1, for mmengine."""
        return 1

    @property
    def max_iters(self) -> int:
        """T."""
        return self.settings.num_alternations

    @property
    def epoch(self) -> int:
        """0, for mmengine."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Alternations completed."""
        return self._iter

    def request_stop(self, signal_number: int) -> None:
        """Stop after the current step, with a checkpoint.

        Args:
            signal_number (int): The process exits with 128 plus this.
        """
        self._stop_signal = signal_number

    def stop_if_requested(self) -> None:
        """Leave with a checkpoint if any process was asked to."""
        device = next(self.model.parameters()).device
        if any_rank(self._stop_signal is not None, device):
            self._leave()

    def _leave(self) -> NoReturn:
        self.runner.call_hook('on_stop')
        raise SystemExit(128 + (self._stop_signal or 15))

    def _begin(self) -> None:
        """Take up the progress of a checkpoint, or start anew."""
        hub = self.runner.message_hub
        if HUB_KEY in hub.runtime_info:
            self.progress = Progress(**hub.get_info(HUB_KEY))
            self.settings.check_resumable(self.progress.settings)
            self._warn_of_changes(self.progress.settings)
            self.runner.logger.info(
                f'Resumed at {self.progress.describe()}.')
        else:
            self.model.copy_backbone_to_upper()
            self.model.restart_targets()
            if self.settings.head_warmup is None:
                self.progress.enter('lower')
        self._iter = self.progress.alternation
        self.progress.settings = {
            **self.settings.fingerprint(),
            **self.runner.optim_wrapper.settings()
        }
        for name, stream in self.streams.items():
            stream.start(self.runner.seed, self.progress.streams.get(name))
        self._publish_progress()

    def _warn_of_changes(self, saved: Dict[str, object]) -> None:
        for key, value in self.runner.optim_wrapper.settings().items():
            # An older checkpoint does not know every setting.
            if saved.get(key, value) != value:
                self.runner.logger.warning(
                    f'{key} is {value} now but was {saved[key]} when the '
                    'checkpoint was written; the run goes on with the new '
                    'one.')

    def _finish_step(self,
                     phase: str,
                     logs: Dict[str, float],
                     then: Optional[str] = None) -> None:
        """Bookkeeping of one step; checkpoints are written from its hook."""
        step_schedules(self.runner, phase)
        self.progress.record(phase, logs)
        self.progress.step += 1
        if phase == 'head_warmup':
            epoch, rest = divmod(self.progress.step,
                                 len(self.streams['head_warmup']))
            if rest == 0:
                self._log_warmup_epoch(epoch)
        if then is not None:
            self.progress.enter(then)
        self._publish_progress()
        self.runner.call_hook(f'after_{phase}_step', logs=logs)
        self.stop_if_requested()

    def _log_warmup_epoch(self, epoch: int) -> None:
        means = self.progress.pop_means()
        num_epochs = self.settings.head_warmup['num_epochs']
        text = '  '.join(f'{key}: {mean:.4f}' for key, mean in means.items())
        self.runner.logger.info(f'Head warm-up [{epoch}/{num_epochs}]  {text}')
        self.runner.visualizer.add_scalars(means, step=epoch)

    def _publish_progress(self) -> None:
        """Put the progress where every checkpoint takes it along."""
        for name, stream in self.streams.items():
            self.progress.streams[name] = stream.state_dict()
        self.runner.message_hub.update_info(HUB_KEY, self.progress.to_dict())

    def _next_batch(self, level: str) -> Any:
        try:
            return self.streams[level].next()
        except RuntimeError:
            # A signal to the whole process group ends the workers too. Other
            # ranks may not be here, so this one leaves without asking them.
            if self._stop_signal is None:
                raise
            self._leave()

    def _seed(self, phase: str, step: Optional[int] = None) -> int:
        step = self.progress.step if step is None else step
        return fold_seed(self.runner.seed, phase, get_rank(), self._iter,
                         step)

    def _run_due_validation(self) -> None:
        if not self.progress.validation_due:
            return
        if self.runner.val_loop is not None:
            self.runner.val_loop.run()
            self.runner.model.train()
        self.progress.validation_due = False
        self._publish_progress()
        self.stop_if_requested()

    def _close_streams(self) -> None:
        for name, stream in self.streams.items():
            if stream.unreadable:
                self.runner.logger.warning(
                    f'{name} level: {len(stream.unreadable)} unreadable '
                    'image(s) were skipped: '
                    f'{", ".join(stream.unreadable[:20])}')
            stream.close()
