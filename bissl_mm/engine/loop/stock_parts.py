"""Parts of mmengine that suit a training in epochs, at one level."""

from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import Runner

from ...utils.errors import TypeRefusal, ValueRefusal

#: Hooks of mmpretrain and mmdet that look for the parts of a single model or optimizer
#: in the runner, or that wait for an epoch which the stage does not have.
_OF_OTHER_TRAININGS = {
    'DenseCLHook': 'looks for loss_lambda in the whole model',
    'SimSiamHook': 'looks for one optimizer',
    'SetAdaptiveMarginsHook': 'looks for the head in the whole model',
    'MeanTeacherHook': 'looks for a teacher and a student in the whole model',
    'SetEpochInfoHook': 'tells the model its epoch',
    'CheckInvalidLossHook': 'looks for the loss of a single model',
    'PreciseBNHook': "waits for mmengine's own loops",
    'WarmupParamHook': 'counts epochs',
    'SwitchRecipeHook': 'waits for an epoch',
    'PipelineSwitchHook': 'waits for an epoch',
    'YOLOXModeSwitchHook': 'waits for the last epochs',
}


def check_stock_parts(runner: Runner) -> None:
    """Refuse the parts with which a bilevel stage would train or save wrongly.

    Args:
        runner (Runner): The runner. It gets a warning if no hook answers a
            request to stop.

    Raises:
        ValueError: If mmengine is to scale the learning rates.
        TypeError: For a checkpoint hook that counts epochs, and for a hook that needs
            epochs or a single model.
    """
    if (runner.auto_scale_lr or {}).get('enable', False):
        raise ValueRefusal(
            'BiSSLTrainLoop: with auto_scale_lr.enable=True mmengine would scale the '
            "learning rates of both levels by train_dataloader's batch, which is "
            'only that of the upper level. Set auto_scale_lr.enable=False, and the '
            'rates themselves in optim_wrapper.lower.optimizer.lr and '
            'optim_wrapper.upper.optimizer.lr.'
        )
    for hook in runner.hooks:
        reason = _OF_OTHER_TRAININGS.get(type(hook).__name__)
        if reason:
            raise TypeRefusal(
                f'BiSSLTrainLoop: {type(hook).__name__} {reason}, but the stage has two '
                'models and, for mmengine, one epoch, so the hook would fail or do '
                'nothing. Remove it from custom_hooks, and set what it changes in '
                'model.pretext, model.downstream or the data pipelines.'
            )
    # No hook at all is a choice: mmengine has one by default.
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    for hook in hooks:
        if hook.by_epoch:
            raise TypeRefusal(
                f'BiSSLTrainLoop: {type(hook).__name__} with by_epoch=True counts '
                'epochs, but for mmengine the whole stage is one epoch, so it would '
                'write nothing before the end. Set '
                "default_hooks.checkpoint.type='BiSSLCheckpointHook', whose interval "
                'counts alternations.'
            )
    if hooks and not any(hasattr(hook, 'on_stop') for hook in hooks):
        runner.logger.warning(
            f'{type(hooks[0]).__name__}: SIGTERM and Ctrl-C will end the stage '
            'without a checkpoint. To have one, set '
            "default_hooks.checkpoint.type='BiSSLCheckpointHook'."
        )


def take_over_logs(runner: Runner) -> None:
    """Let logs count alternations, whatever the config says.

    mmengine counts epochs by default, and the stage has one: all evaluations
    would be logged at the same place.

    Args:
        runner (Runner): Its log processor and hooks are changed.
    """
    runner.log_processor.by_epoch = False
    log_evaluations_by_step(runner)


def log_evaluations_by_step(runner: Runner) -> None:
    """Let the hooks that log evaluations count iterations, not epochs.

    Args:
        runner (Runner): Its hooks are changed.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.log_metric_by_epoch = False
