"""The weights that both levels begin with."""

from mmengine.runner import Runner
from torch import nn

from ...config import is_type
from ...models.bissl_model import BiSSLModel
from ...utils.errors import ValueRefusal
from .progress import HUB_KEY


def check_first_weights(runner: Runner, model: BiSSLModel) -> None:
    r"""Refuse a pretraining of the downstream backbone alone.

    :math:`\theta_D` begins as a copy of :math:`\theta_P`, which would replace the
    pretrained weights by random ones.

    Args:
        runner (Runner): After it has loaded the checkpoint that it begins with or
            resumes from, if there is one.
        model (BiSSLModel): The model of the runner.

    Raises:
        ValueError: If only the downstream model's config has a checkpoint for its
            backbone.
    """
    is_resumed = HUB_KEY in runner.message_hub.runtime_info
    if is_resumed or runner._load_from or model.pretrained is not None:
        return
    if _checkpoint(model) or _places(model.pretext, [a for a, _ in model.pairs.all]):
        return
    found = _places(model.downstream, [b for _, b in model.pairs.all])
    for place, checkpoint in found.items():
        raise ValueRefusal(
            f'model.{".".join(filter(None, ("downstream", place)))}.init_cfg: the '
            'pretext backbone is not pretrained, and theta_D begins as its copy, so '
            f"the weights of checkpoint '{checkpoint}' would be replaced by random "
            f"ones. Set model.pretrained='{checkpoint}', or remove this init_cfg to "
            'begin with random weights.'
        )


def _places(model: nn.Module, backbone: list[str]) -> dict[str, str]:
    """Checkpoints by name of the module that has tensors of the backbone and begins
    with them."""
    found = {}
    for name, module in model.named_modules():
        checkpoint = _checkpoint(module)
        prefix = name and name + '.'
        if checkpoint and any(tensor.startswith(prefix) for tensor in backbone):
            found[name] = checkpoint
    return found


def _checkpoint(module: nn.Module) -> str | None:
    cfgs = getattr(module, 'init_cfg', None) or []
    for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
        if isinstance(cfg, dict) and is_type(cfg, 'Pretrained', 'PretrainedInit'):
            return cfg['checkpoint']
    return None
