"""Networks in a pretext model that follow its weights and are not trained.

BYOL's target network is an averaged model of mmengine. CAE moves its ``teacher`` after
its ``backbone`` by itself.
"""

import torch
from mmengine.model import BaseAveragedModel
from torch import nn


def target_names(model: nn.Module) -> list[str]:
    """Names of a model's target networks."""
    return [
        name if isinstance(module, BaseAveragedModel) else f'{name}.teacher'.strip('.')
        for name, module in model.named_modules()
        if isinstance(module, BaseAveragedModel) or _has_teacher(module)
    ]


@torch.no_grad()
def restart_targets(model: nn.Module) -> None:
    """Let all target networks of a model start from its weights.

    Args:
        model (nn.Module): Changed. The next update of an averaged model copies the
            weights, and teachers take them at once.
    """
    for module in model.modules():
        if isinstance(module, BaseAveragedModel):
            module.get_buffer('steps').zero_()
        elif _has_teacher(module):
            weights = module.get_submodule('backbone').state_dict()
            module.get_submodule('teacher').load_state_dict(weights)


def _has_teacher(module: nn.Module) -> bool:
    parts = (getattr(module, name, None) for name in ('backbone', 'teacher'))
    return hasattr(module, 'momentum_update') and all(
        isinstance(part, nn.Module) for part in parts
    )
