"""Resuming needs more than weights."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.errors import ValueRefusal
from ..progress import HUB_KEY


class ResumeGuardHook(Hook):
    """Refuse to resume from a file that does not hold a whole state.

    Registered by :class:`BiSSLTrainLoop` itself. The checkpoint of the best
    evaluation and the exported backbone hold weights alone.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner,
                              checkpoint: dict) -> None:
        """Look at a checkpoint before anything of it is used.

        Raises:
            ValueError: If the run is to resume and something is missing.
        """
        if not runner._resume:
            return
        hub = checkpoint.get('message_hub', {})
        missing = [key for key in ('meta', 'optimizer')
                   if key not in checkpoint]
        if HUB_KEY not in hub.get('runtime_info', {}):
            missing.append('the progress of a bilevel stage')
        if missing:
            raise ValueRefusal(
                f"--resume: checkpoint '{runner._load_from}' lacks "
                f'{", ".join(missing)}, so the run cannot go on from it. '
                'Resume from an iter_*.pth of this stage, or start anew from '
                'its weights with load_from.')
