"""Load a projection head that was released in a file of its own."""

import re

from mmengine.logging import print_log
from torch import Tensor, nn

from ...utils.checkpoint import load_checkpoint, state_dict_of
from ...utils.errors import ValueRefusal

#: Name in the file -> module of the pretext model.
PARTS = {'projector': 'neck', 'predictor': 'head.predictor'}
_KEY = re.compile(r'(?:^|\.)(projector|predictor)\.(\d+)\.(\w+)$')


def load_pretext_head(model: nn.Module, path: str) -> None:
    """Load the projector, and of BYOL the predictor, of the authors' release.

    Their file has each as an ``nn.Sequential``: ``projector.0.weight`` is the first
    linear layer, ``projector.1.*`` its norm, and so on. In mmpretrain these are
    ``neck.fc0``, ``neck.bn0`` and so on, and ``head.predictor.fc0``.

    Args:
        model (nn.Module): The pretext model; changed in place.
        path (str): See :func:`bissl_mm.utils.checkpoint.load_checkpoint`.

    Raises:
        ValueError: If the file is none of that form, lacks a tensor of the head, or
            has one of another shape or one that the head lacks.
    """
    state = _renamed(state_dict_of(load_checkpoint(path), path), path)
    own = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith(tuple(f'{part}.' for part in PARTS.values()))
    }
    counted = [name for name in own if not name.endswith('num_batches_tracked')]
    missing = [name for name in counted if name not in state]
    extra = [name for name in state if name not in own]
    other = [n for n in counted if n in state and state[n].shape != own[n].shape]
    for what, names in (
        ('lacks', missing),
        ('has beside those of the head', extra),
        ('has in another shape', other),
    ):
        if names:
            raise ValueRefusal(
                f"model.pretrained_head: '{path}' does not fit the head of "
                f'{type(model).__name__}: it {what} {len(names)} tensors, first '
                f'{names[0]!r}. Set the head of this pretext task, or None.'
            )
    model.load_state_dict(state, strict=False)
    print_log(
        f"pretrained_head: '{path}': {len(counted)} of {len(counted)} tensors matched",
        logger='current',
    )


def _renamed(state: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """Tensors by the names of mmpretrain's necks."""
    found = {}
    for key, value in state.items():
        match = _KEY.search(key)
        if match:
            part, layer, name = match.groups()
            found[part, int(layer), name] = value
    if not found:
        raise ValueRefusal(
            f"model.pretrained_head: '{path}' has no projection head: no key is like "
            f"'projector.0.weight'; they begin with {list(state)[:3]}. Set the file of "
            'the head, and model.pretrained to that of the backbone.'
        )
    renamed = {}
    for part, module in PARTS.items():
        layers = sorted({layer for p, layer, _ in found if p == part})
        linear = -1
        for layer in layers:
            weight = found.get((part, layer, 'weight'))
            # A linear layer begins the next block; a norm belongs to it.
            is_linear = weight is not None and weight.ndim > 1
            linear += is_linear
            title = f'{"fc" if is_linear else "bn"}{linear}'
            for p, number, name in found:
                if (p, number) == (part, layer):
                    renamed[f'{module}.{title}.{name}'] = found[p, number, name]
    return renamed
