"""Parts of mmengine that suit a training in epochs, at one level."""

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


def log_evaluations_by_step(runner: Runner) -> None:
    """Let the hooks that log evaluations count iterations, not epochs.

    Args:
        runner (Runner): Its hooks are changed.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.log_metric_by_epoch = False
