"""Checks on the checkpoint that a run is resumed from."""

import glob
import os.path as osp
import re
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint

from ...utils.errors import ValueRefusal
from .progress import HUB_KEY

#: The end of the name of a best checkpoint.
_BEST = re.compile(r'_(iter|epoch)_\d+\.pth$')


def _source(runner: Runner) -> str | None:
    """The checkpoint's file. mmengine keeps no name of the newest one."""
    return runner._load_from or find_latest_checkpoint(runner.work_dir)


class ResumeGuardHook(Hook):
    """Refuse to resume from a file that does not contain the whole state.

    :class:`BiSSLTrainLoop` registers this hook itself. The checkpoint of the
    best evaluation and the exported backbone contain only weights.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check a checkpoint before it is used.

        Raises:
            ValueError: If the run is to be resumed and something is missing.
        """
        if not runner._resume:
            return
        hub = checkpoint.get('message_hub', {})
        missing = [key for key in ('meta', 'optimizer') if key not in checkpoint]
        if HUB_KEY not in hub.get('runtime_info', {}):
            missing.append('the progress of a bilevel stage')
        if missing:
            raise ValueRefusal(
                f'--resume: checkpoint {_source(runner)!r} lacks '
                f'{", ".join(missing)}, so the run cannot continue from it. '
                'Resume from an iter_*.pth of this stage, or start anew from '
                'its weights with load_from.'
            )


class ResumedProgressHook(Hook):
    """Refuse to resume a stock loop from a file of weights, as a backbone.

    :class:`ResumeGuardHook` does it for the bilevel stage.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look for what mmengine's runner reads when it resumes.

        Raises:
            ValueError: If the run is to resume and something is missing.
        """
        if not runner._resume:
            return
        content = checkpoint if isinstance(checkpoint, dict) else {}
        meta = content.get('meta') or {}
        missing = [f'meta.{key}' for key in ('epoch', 'iter') if key not in meta]
        if 'message_hub' not in content:
            missing.append('message_hub')
        if missing:
            raise ValueRefusal(
                f'--resume: checkpoint {_source(runner)!r} lacks {", ".join(missing)}, '
                'so the run cannot continue from it. Resume from an epoch_*.pth or '
                'iter_*.pth of this run, or start anew from its weights: --cfg-options '
                'load_from=PATH without --resume.'
            )


class ResumedTaskHook(Hook):
    """Refuse to resume from a checkpoint of another downstream task.

    Two tasks may have the same model, so that nothing else would tell.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the task in the checkpoint's config with the run's.

        Raises:
            ValueError: If the run is to resume and they differ.
        """
        own = runner.cfg.get('task')
        if not runner._resume or own is None or not isinstance(checkpoint, dict):
            return
        meta = checkpoint.get('meta')
        text = meta.get('cfg') if isinstance(meta, dict) else None
        found = re.search(r"(?m)^task = '([^']*)'$", text if text else '')
        if found and found.group(1) != own:
            raise ValueRefusal(
                f'--resume: checkpoint {_source(runner)!r} is of the task '
                f'{found.group(1)!r}, but this run is on {own!r}. Type --task '
                f'{found.group(1)}, or start anew without --resume.'
            )


class ResumedShapesHook(Hook):
    """Refuse to resume with a model of other sizes, which torch cannot fill.

    The usual reason is data with another number of classes.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the sizes of the checkpoint's parameters with the model's.

        Raises:
            ValueError: If the run is to resume and they differ.
        """
        states = checkpoint.get('state_dict') if isinstance(checkpoint, dict) else None
        if not runner._resume or not isinstance(states, dict):
            return
        model: Any = runner.model
        model = model.module if is_model_wrapper(model) else model
        for name, value in model.state_dict().items():
            saved = states.get(name)
            if saved is None or getattr(saved, 'shape', value.shape) == value.shape:
                continue
            raise ValueRefusal(
                f'--resume: in checkpoint {_source(runner)!r} {name} has the shape '
                f'{tuple(saved.shape)}, but in this run {tuple(value.shape)}. A run '
                'resumes only with the same model and the same number of classes. '
                'Give it the data and the settings that it began with, or start anew '
                'without --resume in another --work-dir.'
            )


class ResumedPathsHook(Hook):
    """Ignore files outside the run's folders that a checkpoint names.

    When there is a better checkpoint, mmengine removes the earlier best one. It
    takes the path of that file from the checkpoint that the run is resumed
    from. So a best one that was written after that checkpoint would stay beside
    those of the resumed run; a warning names it.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remove these paths from the checkpoint, and look for later best ones."""
        if not runner._resume or not isinstance(checkpoint, dict):
            return
        hub = checkpoint.get('message_hub') or {}
        info = hub.get('runtime_info') or {}
        folders = [runner.work_dir, *_out_dirs(runner)]
        inside = tuple(osp.join(osp.realpath(f), '') for f in folders)
        for key in [k for k in info if str(k).startswith('best_ckpt')]:
            path = info[key]
            if not isinstance(path, str) or not osp.realpath(path).startswith(inside):
                info[key] = None
                runner.logger.warning(
                    f'The checkpoint names {path!r} as the best one. This file '
                    'is not in a folder of this run, so it is not removed.'
                )
        kept = info.get('keep_ckpt_ids')
        if kept and not all(re.fullmatch(r'\w+', str(name)) for name in kept):
            info['keep_ckpt_ids'] = type(kept)()
        self._tell_of_others(
            runner, {str(v) for k, v in info.items() if str(k).startswith('best_ckpt')}
        )

    def _tell_of_others(self, runner: Runner, known: set[str]) -> None:
        # As mmengine's hook names it in training.
        name = osp.basename(runner.work_dir)
        folders = [runner.work_dir, *(osp.join(f, name) for f in _out_dirs(runner))]
        paths = {osp.realpath(path) for path in known}
        others = sorted(
            path
            for folder in folders
            for path in glob.glob(osp.join(glob.escape(folder), 'best_*.pth'))
            if _BEST.search(path) and osp.realpath(path) not in paths
        )
        if others:
            runner.logger.warning(
                f'The checkpoint does not know {", ".join(map(repr, others))}: written '
                'after it, or by an earlier run. The resumed run writes its own best '
                'checkpoint. Do not take these for it, unless their name comes again.'
            )


def _out_dirs(runner: Runner) -> list[str]:
    """Other folders of checkpoints, as the hooks' settings name them."""
    folders = [getattr(hook, 'out_dir', None) for hook in getattr(runner, 'hooks', ())]
    return [folder for folder in folders if isinstance(folder, str)]
