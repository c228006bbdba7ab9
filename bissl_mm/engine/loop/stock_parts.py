"""Parts of mmengine that suit a training in epochs, at one level."""

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from ...utils.errors import ValueRefusal


def check_stock_parts(runner: Runner) -> None:
    """Refuse the parts with which a bilevel stage would train or save wrongly.

    Args:
        runner (Runner): The runner.

    Raises:
        ValueError: If mmengine is to scale the learning rates.
    """
    if (runner.auto_scale_lr or {}).get('enable', False):
        raise ValueRefusal(
            'BiSSLTrainLoop: with auto_scale_lr.enable=True mmengine would scale the '
            "learning rates of both levels by train_dataloader's batch, which is "
            'only that of the upper level. Set auto_scale_lr.enable=False, and the '
            'rates themselves in optim_wrapper.lower.optimizer.lr and '
            'optim_wrapper.upper.optimizer.lr.'
        )


def log_evaluations_by_step(runner: Runner) -> None:
    """Let the hooks that log evaluations count iterations, not epochs.

    Args:
        runner (Runner): Its hooks are changed.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.log_metric_by_epoch = False
