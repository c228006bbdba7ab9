"""Memory layout of convolutions in first-order training on a processor."""

from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...registry import HOOKS
from ...utils.errors import ValueRefusal

#: Input channels from which on strided 1x1 convolutions are safe in this layout.
FEWEST_CHANNELS = 8


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keeps 4-D weights with their channels last, so that convolutions take and
    give images in that layout.

    On a processor first derivatives of a narrow network are faster then, see
    ``benchmarks/channels_last.py``; those of a ResNet-18 are not. Values differ by
    rounding alone, and checkpoints load everywhere. The hook does nothing, and says
    so, where this layout is slower, unsafe or not measured: in a bilevel stage whose
    solver takes products of the Hessian or that unrolls steps, on a GPU, on several
    processes, and with convolutions that :func:`overruns_memory` names.

    Raises:
        ValueError: If the model has an operator of mmcv. ``RoIAlign`` reads this
            layout as the other one and gives wrong values in silence.
    """

    def before_train(self, runner: Runner) -> None:
        """After a checkpoint was loaded."""
        # torch declares no overload of ``to`` for a memory format.
        model: Any = runner.model
        reason = why_not(runner)
        if reason is not None:
            runner.logger.info(f'ChannelsLastHook does nothing: {reason}.')
            return
        refuse_compiled_operators(model)
        model.to(memory_format=torch.channels_last)


def why_not(runner: Runner) -> str | None:
    """Why the layout is left as it is; None if it is not."""
    if get_world_size() > 1:
        # DistributedDataParallel has laid out its buckets before, and copies gradients
        # of another layout.
        return 'the model is trained on several processes'
    if next(runner.model.parameters()).device.type != 'cpu':
        return 'the model is on a GPU, where this layout is not measured'
    name = overruns_memory(runner.model)
    if name is not None:
        return (
            f'{name} is a 1x1 convolution with a stride and fewer than '
            f'{FEWEST_CHANNELS} input channels, and for the gradient of its weight torch '
            'writes beyond its memory in this layout'
        )
    system = getattr(runner.optim_wrapper, 'system', None)
    if system is not None and system.config.unrolled_steps:
        return 'unrolled steps have second derivatives, which are slower in this layout'
    if system is not None and system.solver.uses_products:
        return (
            f'{type(system.solver).__name__} takes products of the Hessian, and '
            'second derivatives are slower in this layout'
        )
    return None


def overruns_memory(model: nn.Module) -> str | None:
    """The first convolution whose gradient can end the process in this layout.

    oneDNN's kernel of the weight's gradient for processors with AVX2 writes beyond its
    memory. Seen under glibc's checks of its heap with torch 2.11 (oneDNN 3.10.2), for
    each number of channels below 8 and for none from 8 to 36. Its kernels without AVX2
    do not (``ONEDNN_MAX_CPU_ISA=AVX``).

    Args:
        model (nn.Module): With all its parts.

    Returns:
        str, optional: The name of the module.
    """
    for name, module in model.named_modules():
        if (
            isinstance(module, nn.Conv2d)
            and set(module.kernel_size) == {1}
            and max(module.stride) > 1
            and module.in_channels < FEWEST_CHANNELS * module.groups
        ):
            return name
    return None


def refuse_compiled_operators(model: nn.Module) -> None:
    """Raise a ValueError if a module is an operator of mmcv.

    Args:
        model (nn.Module): With all its parts.
    """
    for name, module in model.named_modules():
        if type(module).__module__.startswith('mmcv.ops'):
            raise ValueRefusal(
                f'ChannelsLastHook does not go with {type(module).__name__} at '
                f'{name} of the model, which would read images in the wrong order. '
                'Remove the hook from custom_hooks.'
            )
