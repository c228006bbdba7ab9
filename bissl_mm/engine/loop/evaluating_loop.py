"""An ordinary training that is evaluated within its epochs, too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...registry import LOOPS
from ...utils.check import check_keys, check_positive_int
from ...utils.errors import ValueRefusal
from .stock_parts import log_evaluations_by_step


@LOOPS.register_module()
@check_keys
class EvaluatingTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, with several evaluations in each of them.

    They are evenly spaced, and the last one follows the last step of the epoch
    (thesis, 7.1.2). An epoch with fewer steps is evaluated after each step. With
    several evaluations in an epoch the logs have the step of each, not its epoch.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader or dict): Training data.
        max_epochs (int): Epochs.
        evaluations_per_epoch (int): Defaults to 1.
        **kwargs: Of ``EpochBasedTrainLoop``, such as ``val_begin``, the first epoch
            with evaluations. ``val_interval`` is 1 here.

    Raises:
        ValueError: If ``evaluations_per_epoch`` is not a positive whole number, or
            ``val_interval`` is not 1.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        max_epochs: int,
        evaluations_per_epoch: int = 1,
        **kwargs: Any,
    ) -> None:
        check_positive_int(
            'EvaluatingTrainLoop', 'evaluations_per_epoch', evaluations_per_epoch
        )
        super().__init__(runner, dataloader, max_epochs, **kwargs)
        if self.val_interval != 1:
            raise ValueRefusal(
                f'EvaluatingTrainLoop: val_interval is {self.val_interval!r}, but every '
                'epoch is evaluated. Remove it, or set evaluations_per_epoch.'
            )
        self.evaluations_per_epoch = evaluations_per_epoch
        if evaluations_per_epoch > 1:
            log_evaluations_by_step(runner)
        number = len(self.dataloader)
        #: Steps of an epoch after which it is evaluated; the last is mmengine's.
        self._places = {
            round(number * i / evaluations_per_epoch)
            for i in range(1, evaluations_per_epoch)
        } - {0, number}

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """A step, and an evaluation if that is due.

        Args:
            idx (int): Number of the step in its epoch, from 0.
            data_batch (Sequence[dict]): Its data.
        """
        super().run_iter(idx, data_batch)
        runner = self.runner
        is_due = idx + 1 in self._places and self._epoch + 1 >= self.val_begin
        if is_due and runner.val_loop is not None:
            with _kept_checkpoints(runner):
                runner.val_loop.run()
            runner.model.train()


@contextmanager
def _kept_checkpoints(runner: Runner) -> Iterator[None]:
    """Inside, a new best evaluation does not write the newest checkpoint again.

    mmengine would write the weights of the running epoch into the checkpoint of the
    last one, and a run that is resumed from it would train these steps twice.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    newest = [hook.last_ckpt for hook in hooks]
    for hook in hooks:
        hook.last_ckpt = None
    try:
        yield
    finally:
        for hook, path in zip(hooks, newest, strict=True):
            hook.last_ckpt = path
