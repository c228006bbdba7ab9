"""Freeze the downstream backbone while its head warms up."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.modules.batchnorm import _NormBase

from ...models.bissl_model import BiSSLModel


@contextmanager
def frozen_backbone(model: BiSSLModel, mode: str) -> Iterator[None]:
    r"""Inside, only the head :math:`\phi_D` of the downstream model trains.

    Args:
        model (BiSSLModel): Its ``requires_grad`` flags are restored
            afterwards. Both of its models are then in training mode.
        mode (str): Mode of the frozen backbone's normalisation layers. In
            ``'train'`` they use batch statistics, as in the upper level, and
            update their running ones. In ``'eval'`` they use the running
            statistics of the pretraining.
    """
    model.train()
    downstream = model.downstream
    params = dict(downstream.named_parameters())
    frozen = [params[upper] for _, upper in model.pairs.params]
    paired = {upper for _, upper in model.pairs.all}
    norms = [
        module
        for name, module in downstream.named_modules()
        if isinstance(module, _NormBase)
        and any(f'{name}.{key}' in paired for key in module.state_dict())
    ]
    for param in frozen:
        param.requires_grad_(False)
    if mode == 'eval':
        for module in norms:
            module.eval()
    try:
        yield
    finally:
        model.train()
