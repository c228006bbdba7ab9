"""Checkpoints that survive whatever interrupts the run."""

import os
import os.path as osp

from mmengine.dist import barrier, get_world_size, master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.check import check_keys, check_positive_int
from ...utils.errors import OSRefusal
from ...utils.files import atomic_file, atomic_path, is_write_failure
from ..checks.ranks import chosen_by_first_rank
from .newest_checkpoint import checkpoint_folder, newest_complete
from .stop_signals import StopSignals


@HOOKS.register_module()
@check_keys
class BiSSLCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, made safe. It counts alternations.

    - A file is written under another name and then moved to its place. An old
      file is deleted only after the new one is complete.
    - ``SIGTERM`` and the first ``SIGINT`` write a checkpoint after the current
      step and end the process. A ``SIGTERM`` to the whole process group does
      not end the worker processes.
    - ``--resume`` takes the newest complete checkpoint, and names the broken
      ones that it skips.

    Args:
        interval (int): Alternations between checkpoints. Defaults to 50.
        step_interval (int, optional): Steps of either level between further
            checkpoints. Defaults to None: no further ones.
        max_keep_ckpts (int): Checkpoints kept, -1 for all. Defaults to 3.
        save_last (bool): Whether to write one after the last alternation.
            Defaults to True.
        save_best (str or list[str], optional): Metric of the evaluation, see
            ``CheckpointHook``. Defaults to None.
        rule (str or list[str], optional): See ``CheckpointHook``.
        out_dir (str, optional): Folder. Defaults to the work folder.
        save_begin (int): See ``CheckpointHook``. Defaults to 0.
    """

    def __init__(
        self,
        interval: int = 50,
        step_interval: int | None = None,
        max_keep_ckpts: int = 3,
        save_last: bool = True,
        save_best=None,
        rule=None,
        out_dir: str | None = None,
        save_begin: int = 0,
    ) -> None:
        super().__init__(
            interval=interval,
            by_epoch=False,
            max_keep_ckpts=max_keep_ckpts,
            save_last=save_last,
            save_best=save_best,
            rule=rule,
            out_dir=out_dir,
            save_begin=save_begin,
        )
        if step_interval is not None:
            check_positive_int('BiSSLCheckpointHook', 'step_interval', step_interval)
        self.step_interval = step_interval
        self._num_steps = 0
        self._signals = StopSignals()

    def before_run(self, runner: Runner) -> None:
        """Choose one checkpoint for an automatic resume of all processes."""
        if runner._resume and runner._load_from is None:
            runner._load_from = chosen_by_first_rank(
                lambda: newest_complete(
                    runner.work_dir,
                    checkpoint_folder(runner.work_dir, self.out_dir),
                    ('iter_*.pth',),
                    runner.logger,
                )
            )

    def before_train(self, runner: Runner) -> None:
        """Listen for signals; see also the parent."""
        super().before_train(runner)
        self._signals.listen(runner)

    def on_exit(self, runner: Runner) -> None:
        """Restore the signal handlers, however the loop ended."""
        self._signals.give_back()

    def after_head_warmup_step(self, runner: Runner, logs: dict) -> None:
        """Count a step."""
        self._after_step(runner)

    def after_lower_step(self, runner: Runner, logs: dict) -> None:
        """Count a step."""
        self._after_step(runner)

    def after_upper_step(self, runner: Runner, logs: dict) -> None:
        """Count a step."""
        self._after_step(runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Stop within an evaluation, which a resumed run repeats."""
        if self._signals.listening and get_world_size() == 1:
            runner.train_loop.stop_if_requested()

    def on_stop(self, runner: Runner) -> None:
        """Write a checkpoint of the current step."""
        # If a process left before the file is complete, the launcher would end
        # the process that writes it.
        self._signals.ignore()
        self._save_here(runner)
        barrier()
        runner.logger.info(
            f"Stopped. '{self.last_ckpt}' has the state; continue with --resume."
        )

    def _after_step(self, runner: Runner) -> None:
        self._num_steps += 1
        if self.step_interval and self._num_steps % self.step_interval == 0:
            self._save_here(runner)

    def _save_here(self, runner: Runner) -> None:
        progress = runner.train_loop.progress
        meta = dict(epoch=0, iter=progress.alternation)
        self._save_checkpoint_with_step(runner, progress.name(), meta)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        step = str(step)
        kept = list(getattr(self, 'keep_ckpt_ids', []))
        stale: list[str] = []
        if self.max_keep_ckpts > 0:
            kept = [k for k in kept if k != step] + [step]
            stale = kept[: -self.max_keep_ckpts]
            kept = kept[-self.max_keep_ckpts :]
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = osp.join(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._write(runner, filename, meta)
        self._remove_stale(runner, stale)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Like the parent, but the new file is complete before the old one is
        removed."""
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        hub = runner.message_hub
        updated = False
        for metric, rule in zip(self.key_indicators, self.rules, strict=True):
            suffix = '' if len(self.key_indicators) == 1 else f'_{metric}'
            score = metrics[metric]
            best = hub.get_info(f'best_score{suffix}', self.init_value_map[rule])
            if score is None or not self.is_better_than[metric](score, best):
                continue
            old = hub.get_info(f'best_ckpt{suffix}')
            name = self.filename_tmpl.format(runner.iter)
            name = f'best_{metric}_{name}'.replace('/', '_')
            path = osp.join(self.out_dir, name)
            # A metric may be a numpy scalar; checkpoints hold plain numbers.
            hub.update_info(f'best_score{suffix}', float(score))
            hub.update_info(f'best_ckpt{suffix}', path)
            self._write(
                runner, name, dict(epoch=0, iter=runner.iter), weights_only=True
            )
            if old and osp.abspath(old) != osp.abspath(path):
                _remove(old)
            runner.logger.info(
                f'Best so far: {metric} {float(score):.4f} '
                f"after alternation {runner.iter}, '{path}'."
            )
            updated = True
        if updated and self.last_ckpt is not None:
            # The newest checkpoint has to name the best one.
            self._save_checkpoint_with_step(
                runner, runner.iter, dict(epoch=0, iter=runner.iter)
            )

    @master_only
    def _write(
        self, runner: Runner, filename: str, meta: dict, weights_only: bool = False
    ) -> None:
        path = osp.join(self.out_dir, filename)
        try:
            with atomic_path(path) as partial:
                runner.save_checkpoint(
                    self.out_dir,
                    osp.basename(partial),
                    save_optimizer=not weights_only,
                    save_param_scheduler=not weights_only,
                    meta=meta,
                    by_epoch=False,
                )
            if not weights_only:
                pointer = osp.join(runner.work_dir, 'last_checkpoint')
                with atomic_file(pointer) as file:
                    file.write(path)
        except (OSError, RuntimeError) as error:
            if not is_write_failure(error):
                raise
            raise OSRefusal(
                f"Could not write checkpoint '{path}': {error}. The earlier "
                'checkpoints are unchanged. Check free space and '
                'permissions, then continue with --resume.'
            ) from error

    @master_only
    def _remove_stale(self, runner: Runner, stale: list) -> None:
        for step in stale:
            _remove(osp.join(self.out_dir, self.filename_tmpl.format(step)))


@master_only
def _remove(path: str) -> None:
    if osp.isfile(path):
        os.remove(path)
