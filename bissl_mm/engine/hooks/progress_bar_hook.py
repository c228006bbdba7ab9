"""Progress bars on the terminal."""

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from ...registry import HOOKS
from ...utils.check import check_keys


@HOOKS.register_module()
@check_keys
class ProgressBarHook(Hook):
    """One progress bar for a stage, with the newest loss.

    It counts the batches of ordinary training, and the steps of the bilevel
    stage.

    Args:
        name (str): Label of the bar. Defaults to ``'training'``.
    """

    priority = 'VERY_LOW'

    def __init__(self, name: str = 'training') -> None:
        self.name = name
        self._bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the bar."""
        settings = getattr(runner.train_loop, 'settings', None)
        if settings is None:
            total, done = runner.max_iters, runner.iter
        else:
            total = settings.total_steps('lower') + settings.total_steps('upper')
            done = runner.iter * (settings.num_lower_steps + settings.num_upper_steps)
            if runner.iter == 0:
                total += settings.head_warmup_steps(len(runner.train_dataloader))
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self.name,
            disable=not is_main_process(),
            dynamic_ncols=True,
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Count a batch of ordinary training."""
        if not hasattr(runner.train_loop, 'settings'):
            self._bar.update()
            if outputs and 'loss' in outputs:
                self._bar.set_postfix(loss=f'{float(outputs["loss"]):.3f}')

    def after_head_warmup_step(self, runner: Runner, logs: dict) -> None:
        """Count a step of the head warm-up."""
        self._bar.update()
        self._bar.set_postfix(head_loss=f'{logs["loss"]:.3f}')

    def after_lower_step(self, runner: Runner, logs: dict) -> None:
        """Count a step of the lower level."""
        self._bar.update()
        # The weighted sum has both losses in its upper step.
        if 'pretext_loss' in logs:
            self._bar.set_postfix(pretext_loss=f'{logs["pretext_loss"]:.3f}')

    def after_upper_step(self, runner: Runner, logs: dict) -> None:
        """Count a step of the upper level."""
        self._bar.update()
        self._bar.set_postfix(
            downstream_loss=f'{logs.get("loss_at_lower", logs["loss_at_upper"]):.3f}'
        )

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        self._bar.close()
