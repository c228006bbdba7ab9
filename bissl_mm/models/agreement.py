"""Check that both backbones compute the same function of an image.

All tensors can fit although the functions differ: by pixel values, by the layer
that has a stride, by the statistics of a norm. Weights that are good in one
model are then bad in the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from .bissl_model import BiSSLModel
from .weights.pixels import Pixels

Modules = list[tuple[str, nn.Module, str, nn.Module]]


def differences(
    model: BiSSLModel,
    lower_pipeline: Sequence[Any] = (),
    upper_pipeline: Sequence[Any] = (),
) -> list[str]:
    """Differences between the two models whose tensors all fit.

    Dense tasks may have dilated convolutions in place of strides. This is no
    difference: the same filters are applied at more places.

    Args:
        model (BiSSLModel): Not changed.
        lower_pipeline (Sequence[dict]): Transforms of the pretext data.
        upper_pipeline (Sequence[dict]): Transforms of the downstream data.

    Returns:
        list[str]: One sentence per difference, with both values.
    """
    lower = Pixels.of(model.pretext, lower_pipeline)
    if model.unscaled_pixels:
        # That is asked for; all else has to agree.
        mean, std = ([255 * v for v in values] for values in (lower.mean, lower.std))
        lower = replace(lower, mean=mean, std=std)
    found = list(_pixel_differences(lower, Pixels.of(model.downstream, upper_pipeline)))
    modules = _paired_modules(model)
    return (
        found
        + _conv_differences(modules)
        + _norm_differences(modules)
        + _other_differences(modules)
    )


def statistics_note(model: BiSSLModel) -> str | None:
    """Batch norms that use running statistics in only one model's training.

    This is mmdet's default, and a config may want it.

    Args:
        model (BiSSLModel): Its mode is changed and restored.

    Returns:
        str, optional: A sentence; None if there is no such norm.
    """
    before = model.training
    model.train()
    rows = [
        m
        for m in _paired_modules(model)
        if isinstance(m[1], _BatchNorm)
        and isinstance(m[3], _BatchNorm)
        and m[1].training != m[3].training
    ]
    text = None
    if rows:
        name, lower, partner, _ = rows[0]
        kinds = ("its batch's", 'running')
        text = (
            f"In training '{name}' of the pretext model uses "
            f"{kinds[not lower.training]} statistics, '{partner}' of the "
            f'downstream model {kinds[lower.training]} ones'
            f'{_more(rows)}. If you do not want this, give both backbones the '
            'same norm_eval and frozen_stages.'
        )
    model.train(before)
    return text


def _pixel_differences(lower: Pixels, upper: Pixels) -> Iterator[str]:
    if (
        lower.order == upper.order
        and _close(lower.mean, upper.mean)
        and _close(lower.std, upper.std)
    ):
        return
    yield (
        f"The pretext model's backbone gets {lower}, the downstream "
        f"model's gets {upper} (x: pixels from 0 to 255). Weights of one do "
        'not suit the other. Give both data_preprocessors the same mean, std '
        'and channel order (to_rgb, bgr_to_rgb).'
    )


def _close(first: Sequence[float], second: Sequence[float]) -> bool:
    # One number may stand for all channels.
    size = max(len(first), len(second))
    first, second = (
        list(v) * size if len(v) == 1 else list(v) for v in (first, second)
    )
    return len(first) == len(second) and all(
        abs(a - b) <= 0.01 * max(abs(a), abs(b), 1.0)
        for a, b in zip(first, second, strict=True)
    )


def _paired_modules(model: BiSSLModel) -> Modules:
    """Modules at the same place in both backbones, with their names."""
    lower = dict(model.pretext.named_modules())
    upper = dict(model.downstream.named_modules())
    pairs = []
    for name, module in lower.items():
        for rule, other in model.backbone_map.rules:
            if (name + '.').startswith(rule):
                partner = (other + (name + '.')[len(rule) :]).rstrip('.')
                if partner in upper:
                    pairs.append((name, module, partner, upper[partner]))
                break
    return pairs


def _conv_differences(modules: Modules) -> list[str]:
    convs = [
        m for m in modules if isinstance(m[1], _ConvNd) and isinstance(m[3], _ConvNd)
    ]
    dilated = all(
        any(f(a, b) for _, a, _, b in convs)
        for f in (
            lambda a, b: b.dilation > a.dilation,
            lambda a, b: b.stride < a.stride,
        )
    )
    found = []
    for name in ('stride', 'dilation', 'padding', 'groups', 'padding_mode'):
        rows = [
            m
            for m in convs
            if getattr(m[1], name) != getattr(m[3], name)
            and not (dilated and _is_atrous(name, m[1], m[3]))
        ]
        if rows:
            hint = _of_backbones(modules, 'style') if name == 'stride' else ''
            found.append(_first(rows, name, hint))
    return found


def _is_atrous(name: str, lower: Any, upper: Any) -> bool:
    """Whether a difference comes from dilation in place of strides."""
    if name == 'stride':
        return upper.stride < lower.stride
    if name == 'dilation':
        return upper.dilation > lower.dilation
    return name == 'padding' and upper.dilation != lower.dilation


def _norm_differences(modules: Modules) -> list[str]:
    found = []
    for name in ('eps', 'momentum', 'num_groups', 'track_running_stats'):
        rows = [
            m
            for m in modules
            if hasattr(m[1], name)
            and hasattr(m[3], name)
            and getattr(m[1], name) != getattr(m[3], name)
        ]
        if rows:
            found.append(_first(rows, name))
    return found


def _other_differences(modules: Modules) -> list[str]:
    """Differences of layers without tensors, and of kinds of norms."""
    rows = []
    for row in modules:
        lower, upper = row[1], row[3]
        if (
            any(True for _ in lower.children())
            or _has_no_say(lower)
            or _has_no_say(upper)
            or isinstance(lower, _ConvNd)
        ):
            continue
        kinds = [_kind(m) for m in (lower, upper)]
        if kinds[0] != kinds[1]:
            rows.append((row, kinds))
    texts = {}
    for row, kinds in rows:
        texts.setdefault(tuple(kinds), []).append(row)
    return [
        f"'{same[0][0]}' of the pretext model is {kinds[0]}, '{same[0][2]}' "
        f'of the downstream model is {kinds[1]}{_more(same)}. Set the same in '
        'both backbones.'
        for kinds, same in texts.items()
    ]


def _has_no_say(module: nn.Module) -> bool:
    """Whether a module is only regularisation, which may differ, or a
    container."""
    name = type(module).__name__
    return 'Drop' in name or name in ('Identity', 'ModuleList', 'Sequential')


def _kind(module: nn.Module) -> str:
    """The type of a layer, with its settings if it has no tensors."""
    if isinstance(module, _BatchNorm):
        return 'BatchNorm'
    name = type(module).__name__
    if next(module.parameters(), None) is not None:
        return name
    # A layer in place computes the same function.
    settings = (
        module.extra_repr()
        .replace('inplace=True', '')
        .replace('inplace=False', '')
        .strip(', ')
    )
    return f'{name}({settings})'


def _of_backbones(modules: Modules, name: str) -> str:
    """An attribute of the backbones themselves, if it differs."""
    for _, lower, _, upper in modules:
        values = [getattr(m, name, None) for m in (lower, upper)]
        if None not in values and values[0] != values[1]:
            return f' ({name}={values[0]!r} against {values[1]!r})'
    return ''


def _first(rows: Modules, name: str, hint: str = '') -> str:
    lower_name, lower, upper_name, upper = rows[0]
    return (
        f"'{lower_name}' of the pretext model has {name}="
        f"{getattr(lower, name)}, '{upper_name}' of the downstream model has "
        f'{getattr(upper, name)}{_more(rows)}{hint}. The same weights then '
        'compute another function. Set the same in both backbones.'
    )


def _more(rows: Sequence[Any]) -> str:
    return f', and so do {len(rows) - 1} more' if len(rows) > 1 else ''


__all__: list[str] = ['differences', 'statistics_note']
