"""Read from a checkpoint how its model was trained.

mmengine's checkpoints contain the text of their config. The text is parsed and
never run. Literals and calls of ``dict`` are read, and all else is ignored.
"""

import ast
from typing import Any

import torch
from torch import nn

from ...config import is_type
from .pixels import Pixels


def describe(model: nn.Module) -> dict[str, str]:
    """The properties that a later stage should share, as plain strings.

    Args:
        model (nn.Module): It may have a ``data_preprocessor`` and a
            ``backbone``.

    Returns:
        dict[str, str]: ``pixels``, if the preprocessor normalises, and
        ``style``, if the backbone has one.
    """
    found = {}
    preprocessor = getattr(model, 'data_preprocessor', None)
    if getattr(preprocessor, 'mean', None) is not None:
        found['pixels'] = str(Pixels.of(model, ()))
    style = getattr(getattr(model, 'backbone', None), 'style', None)
    if style is not None:
        found['style'] = str(style)
    return found


def origin_differences(checkpoint: Any, model: nn.Module, path: str) -> list[str]:
    """Differences between a model and the one that a checkpoint comes from.

    Args:
        checkpoint (Any): As loaded. Without ``meta`` nothing is known.
        model (nn.Module): The model that takes the weights; not changed.
        path (str): The file, for the message.

    Returns:
        list[str]: One sentence per difference, with both values.
    """
    before, now = origin(checkpoint), describe(model)
    titles = dict(pixels='pixels', style="the backbone's style")
    remedies = dict(
        pixels='mean, std and the channel order of the data_preprocessor', style='style'
    )
    return [
        f"'{path}' was trained with {titles[key]} {before[key]}, but this "
        f'model has {now[key]}. The weights do not suit it. Set the same '
        f'{remedies[key]}.'
        for key in titles
        if key in before and key in now and before[key] != now[key]
    ]


def origin(checkpoint: Any) -> dict[str, str]:
    """The properties of :func:`describe` that a checkpoint tells.

    They are in ``meta['backbone']`` of a backbone that this package wrote, and
    otherwise in the config that mmengine wrote.

    Args:
        checkpoint (Any): As loaded.

    Returns:
        dict[str, str]: ``pixels`` and ``style``, as far as they are known.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict):
        return {}
    if isinstance(meta.get('backbone'), dict):
        return meta['backbone']
    model = _model_of(meta.get('cfg'))
    model = model.get('pretext') or model
    found = {}
    preprocessor = model.get('data_preprocessor')
    if isinstance(preprocessor, dict) and preprocessor.get('mean'):
        found['pixels'] = str(_pixels(preprocessor))
    backbone = model.get('backbone')
    if isinstance(backbone, dict) and isinstance(backbone.get('style'), str):
        found['style'] = backbone['style']
    return found


def _pixels(preprocessor: dict[str, Any]) -> Pixels:
    """The pixels of a data preprocessor's config."""
    model = nn.Module()
    model.data_preprocessor = nn.Module()
    for name in ('mean', 'std'):
        value = torch.tensor(preprocessor.get(name) or [0.0])
        setattr(model.data_preprocessor, name, value)
    # BatchViews converts the channels by default.
    default = is_type(preprocessor, 'BatchViews')
    model.data_preprocessor.to_rgb = any(
        (
            preprocessor.get('to_rgb', default),
            preprocessor.get('bgr_to_rgb'),
            preprocessor.get('rgb_to_bgr'),
        )
    )
    return Pixels.of(model, ())


def _model_of(text: Any) -> dict[str, Any]:
    try:
        tree = ast.parse(text if isinstance(text, str) else '')
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            name = getattr(node.targets[0], 'id', None)
            if name in ('model', 'data_preprocessor'):
                found[name] = _value(node.value)
    model = found.get('model')
    if not isinstance(model, dict):
        return {}
    # mmengine's runner gives the model one that stands beside it.
    model.setdefault('data_preprocessor', found.get('data_preprocessor'))
    return model


def _value(node: ast.expr) -> Any | None:
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        return {k.arg: _value(k.value) for k in node.keywords if k.arg}
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
