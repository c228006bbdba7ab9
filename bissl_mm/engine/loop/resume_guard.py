"""Resuming needs more than weights."""

import os.path as osp
import re

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.errors import ValueRefusal
from .progress import HUB_KEY


class ResumeGuardHook(Hook):
    """Refuse to resume from a file that does not hold a whole state.

    Registered by :class:`BiSSLTrainLoop` itself. The checkpoint of the best
    evaluation and the exported backbone hold weights alone.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at a checkpoint before anything of it is used.

        Raises:
            ValueError: If the run is to resume and something is missing.
        """
        if not runner._resume:
            return
        hub = checkpoint.get('message_hub', {})
        missing = [key for key in ('meta', 'optimizer') if key not in checkpoint]
        if HUB_KEY not in hub.get('runtime_info', {}):
            missing.append('the progress of a bilevel stage')
        if missing:
            raise ValueRefusal(
                f"--resume: checkpoint '{runner._load_from}' lacks "
                f'{", ".join(missing)}, so the run cannot go on from it. '
                'Resume from an iter_*.pth of this stage, or start anew from '
                'its weights with load_from.'
            )


class ResumedPathsHook(Hook):
    """Forget files that a checkpoint names outside the run's folders.

    mmengine removes the best checkpoint before once there is a better one,
    and takes its path from the checkpoint that the run is resumed from.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop the paths from what the run will take over."""
        if not runner._resume or not isinstance(checkpoint, dict):
            return
        hub = checkpoint.get('message_hub') or {}
        info = hub.get('runtime_info') or {}
        folders = [
            runner.work_dir,
            *(
                hook.out_dir
                for hook in getattr(runner, 'hooks', ())
                if isinstance(getattr(hook, 'out_dir', None), str)
            ),
        ]
        inside = tuple(osp.join(osp.realpath(f), '') for f in folders)
        for key in [k for k in info if str(k).startswith('best_ckpt')]:
            path = info[key]
            if not isinstance(path, str) or not osp.realpath(path).startswith(inside):
                info[key] = None
                runner.logger.warning(
                    f'The checkpoint names {path!r} as the best one, which is '
                    'not in a folder of this run; it is left alone.'
                )
        kept = info.get('keep_ckpt_ids')
        if kept and not all(re.fullmatch(r'\w+', str(name)) for name in kept):
            info['keep_ckpt_ids'] = type(kept)()
