"""Export the result of the bilevel stage for any OpenMMLab library."""

import math
import os.path as osp

from mmengine.dist import get_rank, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...models.bissl_model import unwrap
from ...models.weights.provenance import describe
from ...registry import HOOKS
from ...utils.check import check_in, check_keys
from ...utils.checkpoint import load_checkpoint, save_atomically
from ...utils.errors import Refusal, ValueRefusal
from .transfer_hook import NAME, TransferHook

#: Key of the best value so far in a checkpoint.
BEST = 'bissl_best_transfer'


@HOOKS.register_module()
@check_keys
class ExportBackboneHook(Hook):
    r"""Write the result :math:`\theta_P` with plain ``backbone.*`` keys.

    mmpretrain, mmdet and mmseg load the file without this package. Set
    ``init_cfg=dict(type='Pretrained', checkpoint='.../backbone.pth',
    prefix='backbone.')`` on the backbone. A few read the file by code of their own,
    which knows no prefix; ``tools/convert_backbone.py --bare`` writes theirs.

    Args:
        filename (str): File in the work folder. Defaults to
            ``'backbone.pth'``.
        interval (int): Alternations between files, in addition to the one at
            the end. Defaults to -1: only at the end.
        best (bool): Whether to write ``best_<filename>`` as well: the backbone
            of the alternation with the highest accuracy of
            :class:`TransferHook`, which has to be among the hooks. Defaults to
            False.
        level (str): ``'upper'`` writes :math:`\theta_D` instead, the backbone of
            the upper level. Defaults to ``'lower'``.
    """

    # After TransferHook, whose value it reads, and before a checkpoint stores the best.
    priority = 80

    def __init__(
        self,
        filename: str = 'backbone.pth',
        interval: int = -1,
        best: bool = False,
        level: str = 'lower',
    ) -> None:
        self.best = best
        self._best_value = -float('inf')
        check_in('ExportBackboneHook', 'level', level, ('lower', 'upper'))
        self.level = level
        self.filename = filename
        self.interval = interval

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Write every ``interval`` alternations."""
        if self.every_n_train_iters(runner, self.interval):
            self._export(runner, batch_idx + 1)
        if self.best:
            self._export_best(runner, batch_idx + 1)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the best value for a resumed run."""
        if self.best:
            checkpoint[BEST] = self._best_value

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the best value, if the file of its alternation is still there.

        An interrupted run may have written a later one after this checkpoint. A run
        in another folder has none.
        """
        if not runner._resume or not self.best or get_rank() != 0:
            return
        self._best_value = checkpoint.get(BEST, self._best_value)
        path = osp.join(runner.work_dir, 'best_' + self.filename)
        written, reached = _alternation_of(path), checkpoint['meta']['iter']
        if not math.isfinite(self._best_value) or 0 <= written <= reached:
            return
        self._best_value = -float('inf')
        runner.logger.warning(
            f'ExportBackboneHook: {path!r} '
            + ('does not exist' if written < 0 else f'is of alternation {written}')
            + f', but the run goes on from alternation {reached}, so the best one '
            'until there is lost. The best of the estimates from now on is written.'
        )

    def after_train(self, runner: Runner) -> None:
        """Write the result, and say if there is no best one."""
        self._export(runner, runner.iter)
        if self.best and not math.isfinite(self._best_value) and get_rank() == 0:
            runner.logger.warning(
                f'ExportBackboneHook: no best_{self.filename} was written, because '
                'TransferHook has no estimate for these validation data. Take '
                f'{self.filename}.'
            )

    @master_only
    def _export_best(self, runner: Runner, alternation: int) -> None:
        found = runner.message_hub.runtime_info.get(NAME)
        if found is None:
            if not any(isinstance(h, TransferHook) for h in runner.hooks):
                raise ValueRefusal(
                    'ExportBackboneHook: best=True needs the values of '
                    "TransferHook. Add dict(type='TransferHook') to "
                    'custom_hooks.'
                )
            return
        number, value = found
        if number == alternation and value > self._best_value:
            self._best_value = value
            self._export(runner, alternation, 'best_')

    @master_only
    def _export(self, runner: Runner, num_alternations: int, prefix: str = '') -> None:
        model = unwrap(runner.model)
        state = model.backbone_state_dict(self.level)
        path = osp.join(runner.work_dir, prefix + self.filename)
        meta = dict(
            description={
                'lower': 'lower backbone theta_P of BiSSL',
                'upper': 'upper backbone theta_D of BiSSL',
            }[self.level],
            num_alternations=num_alternations,
            seed=runner.seed,
            # The stage has shown it images of the downstream model, too.
            backbone=describe(
                model.downstream if model.unscaled_pixels else model.pretext
            ),
            config=osp.basename(runner.cfg.filename or ''),
        )
        save_atomically(dict(state_dict=state, meta=meta), path)
        runner.logger.info(f"Backbone of {len(state)} tensors exported to '{path}'.")


def _alternation_of(path: str) -> int:
    """The alternation that an exported file is of; -1 without a readable file."""
    try:
        return int(load_checkpoint(path)['meta']['num_alternations'])
    except (Refusal, KeyError, TypeError, ValueError):
        return -1
