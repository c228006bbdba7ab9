"""Checks before a bilevel run takes its first step."""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner

from ...config import is_type
from ...datasets import LevelStream
from ...models.agreement import differences, statistics_note
from ...models.bissl_model import BiSSLModel
from ...models.checks import (
    check_differentiable,
    check_outputs,
    check_teacher,
    kinks_note,
)
from ...utils.errors import TypeRefusal, ValueRefusal
from ..checks.loaders import check_levels
from ..distributed import PlainDistributedModel
from ..steps.lone_images import check_parts
from ..steps.optim_wrapper import BiSSLOptimWrapper
from ..steps.settings import HypergradientSettings
from ..steps.system_checks import check_every_scale
from .controls import check_controls
from .first_weights import check_first_weights
from .stock_parts import check_stock_parts


def check_parts_of_runner(runner: Runner) -> HypergradientSettings:
    """Check the wrapper of the model, that of the optimizers, built or not, and
    the parts of mmengine that suit other trainings.

    Returns:
        HypergradientSettings: The settings in the wrapper of the optimizers.

    Raises:
        TypeError: For a wrapper that distributes parameters or gradients by
            itself, or that serves only one model. Also for a checkpoint hook that
            counts epochs.
        ValueError: If mmengine is to scale the learning rates.
    """
    _check_wrapper(runner)
    check_stock_parts(runner)
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, BiSSLOptimWrapper):
        return wrapper.system.config
    _check_optim_wrapper(wrapper)
    return HypergradientSettings.read(wrapper.get('hypergradient'))


def check_before_training(
    runner: Runner,
    model: BiSSLModel,
    streams: dict[str, LevelStream],
    pipelines: list[Any],
) -> None:
    """Check first weights, layers, precision, and sizes of batches and of their parts.

    Where the two models disagree, for example in the order of channels, the run
    gets a warning.

    Args:
        runner (Runner): All its parts are built.
        model (BiSSLModel): The model of the runner.
        streams (dict[str, LevelStream]): One stream per level.
        pipelines (list): The transforms of the pretext data and of the
            downstream data.

    Raises:
        TypeError: If the stage cannot work with a part.
        ValueError: If a batch is too small, if pretrained weights would be lost, if a
            control lacks a setting, or if lambda + damping becomes 0.
    """
    check_first_weights(runner, model)
    check_controls(runner, model)
    check_outputs(model.pretext)
    check_teacher(model.downstream)
    wrapper, world_size = runner.optim_wrapper, get_world_size()
    system = wrapper.system.config
    curvature = system.curvature
    check_differentiable(model.pretext, model.downstream, world_size, curvature)
    wrapper.first_order.check_params(model)
    if wrapper.indirect_weight and not system.unrolled_steps:
        alternations = runner.train_loop.settings.num_alternations
        check_every_scale(wrapper.regularizer, alternations, system.damping)
    size = system.batch_size
    check_levels(model, streams, wrapper.first_order.num_parts, size)
    for line in differences(model, *pipelines):
        runner.logger.warning(line)
    if curvature == 'differences':
        kinks = kinks_note(model.pretext)
        if kinks:
            runner.logger.warning(kinks)
        else:
            runner.logger.info(
                "hypergradient.curvature='differences': no layer of the pretext "
                'model is known to have kinks.'
            )
    note = statistics_note(model)
    if note:
        runner.logger.info(note)
    check_parts(
        model.pretext,
        wrapper.first_order,
        size,
        streams['lower'].batch_size,
        world_size,
    )
    if runner.train_loop.settings.head_warmup is not None and not model.upper_head():
        raise ValueRefusal(
            'BiSSLTrainLoop: the downstream model has no trained '
            'parameter outside its backbone, so there is no head to warm '
            'up. Set head_warmup=None.'
        )


def _check_wrapper(runner) -> None:
    """Refuse wrappers that distribute parameters or gradients by themselves."""
    if hasattr(runner, 'strategy'):
        raise TypeRefusal(
            f'BiSSLTrainLoop: {type(runner).__name__} with '
            f'{type(runner.strategy).__name__} shards or wraps the model, but '
            'the implicit Jacobian needs whole parameters on every process. '
            'Remove runner_type and strategy from the config.'
        )
    if isinstance(runner.model, PlainDistributedModel) or not is_model_wrapper(
        runner.model
    ):
        return
    if isinstance(runner.model, MMDistributedDataParallel):
        why = 'does not see the gradients of the bilevel stage'
    else:
        why = (
            'is not known to leave the parameters whole on every process, '
            'which the implicit Jacobian needs; sharded training is not '
            'supported'
        )
    raise TypeRefusal(
        f'BiSSLTrainLoop: {type(runner.model).__name__} {why}. Set '
        "model_wrapper_cfg=dict(type='bissl_mm.PlainDistributedModel')."
    )


def _check_optim_wrapper(optim_wrapper: Any) -> None:
    """Refuse a config that is not for :class:`BiSSLOptimWrapper`."""
    if not isinstance(optim_wrapper, dict) or not is_type(
        dict(type=optim_wrapper.get('constructor')), 'BiSSLOptimWrapperConstructor'
    ):
        raise TypeRefusal(
            'BiSSLTrainLoop: this optim_wrapper serves only one model. Set '
            "optim_wrapper=dict(type='BiSSLOptimWrapper', constructor="
            "'BiSSLOptimWrapperConstructor', lower=..., upper=...)."
        )
