"""Learning-rate schedules that count the steps of their own level."""

from mmengine.hooks import DistSamplerSeedHook, EMAHook, ParamSchedulerHook
from mmengine.runner import Runner

from ...utils.check import check_known_keys
from ...utils.errors import TypeRefusal, ValueRefusal
from .settings import LoopSettings

LEVELS = ('lower', 'upper')


def take_over_schedules(runner: Runner, settings: LoopSettings) -> None:
    """Check the configs of the schedules, and keep mmengine from stepping them.

    mmengine would step the schedules of both levels once per alternation. Here
    the loop steps them, and ``end`` counts steps of the level. If ``end`` is
    left out, it becomes the number of steps of the level in the run. A schedule
    that ends later gets a warning.

    Args:
        runner (Runner): Its hooks and ``param_schedulers`` configs are
            changed.
        settings (LoopSettings): The loop's settings.

    Raises:
        TypeError: If the schedules do not name the levels, or if ``EMAHook``
            averages weights.
        ValueError: If a schedule counts epochs, ends before it begins or begins
            after the last step of its level.
    """
    for hook in list(runner._hooks):
        if isinstance(hook, EMAHook):
            raise TypeRefusal(
                'BiSSLTrainLoop: EMAHook writes averaged weights into the '
                'checkpoints, so a run could not be resumed from them. '
                'Remove it from the hooks.'
            )
        if isinstance(hook, (ParamSchedulerHook, DistSamplerSeedHook)):
            runner._hooks.remove(hook)
    schedules = runner.param_schedulers
    if schedules is None:
        return
    if not isinstance(schedules, dict) or 'type' in schedules:
        raise TypeRefusal(
            'param_scheduler must name the levels, dict(lower=[...], '
            'upper=[...]), but is one list for both.'
        )
    check_known_keys('param_scheduler', schedules, LEVELS)
    for level in LEVELS:
        cfgs = schedules.get(level) or []
        is_list = not isinstance(cfgs, dict)
        cfgs = schedules[level] = cfgs if is_list else [cfgs]
        total = settings.total_steps(level)
        if not total:
            # With num_lower_steps=0 no step advances them.
            cfgs = schedules[level] = []
        for index, cfg in enumerate(cfgs):
            if not isinstance(cfg, dict):
                continue
            if cfg.get('by_epoch', True):
                raise ValueRefusal(
                    f'param_scheduler.{level}: {cfg.get("type")} needs '
                    'by_epoch=False; it counts steps of this level.'
                )
            cfg.setdefault('end', total)
            key = f'param_scheduler.{level}' + f'.{index}' * is_list
            _check_range(runner, level, cfg, total, key)


def _check_range(runner: Runner, level: str, cfg: dict, total: int, key: str) -> None:
    where = f'param_scheduler.{level}: {cfg.get("type")}'
    begin, end = cfg.get('begin', 0), cfg['end']
    if begin >= min(end, total):
        raise ValueRefusal(
            f'{where} begins at step {begin} and ends at step {end}, but must begin '
            f'before it ends and before the last of the {total} steps of this level. '
            f'Lower begin (--cfg-options {key}.begin=N, and the end of a schedule '
            'that it follows), raise end, or raise num_alternations.'
        )
    if end > total:
        runner.logger.warning(
            f'{where} ends at step {end}, but the run has {total} steps of this level, '
            'so the learning rate does not get to the end of the schedule. Lower end '
            f'(--cfg-options {key}.end={total}), or remove it to end with the run.'
        )


def step_schedules(runner: Runner, level: str) -> None:
    """Advance the schedules of one level by one step."""
    for schedule in (runner.param_schedulers or {}).get(level, []):
        schedule.step()
