"""Initialisation, with checks that it takes the checkpoints of a config."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ...utils.checkpoint import load_checkpoint, state_dict_of
from ...utils.errors import Refusal, ValueRefusal
from .misfit import matching
from .pretrained import check_pretrained_init, pretrained_cfgs, strip


class _Named(NamedTuple):
    """A module with the checkpoint that its ``init_cfg`` names."""

    name: str
    module: nn.Module
    path: str
    prefix: str


def init_with_checks(model: nn.Module, init_weights: Callable[[], None]) -> None:
    """Initialise a model, and verify every ``init_cfg=dict(type='Pretrained', ...)``.

    Some backbones of mmseg and mmdet read the file by code of their own, which knows
    no ``prefix``. They end in a ``KeyError``, or keep random weights without complaint.

    Args:
        model (nn.Module): Before its initialisation; changed.
        init_weights (Callable): Initialises it.

    Raises:
        ValueError: As :func:`check_pretrained_init`; also if a module did not take
            most of the parameters that fit it.
    """
    # mmengine fails without a word on what to do if no name begins as asked.
    check_pretrained_init(model)
    named = list(_named(model))
    try:
        init_weights()
    except KeyError as error:
        key = str(error.args[0]) if error.args else ''
        for part in named:
            if part.prefix and key.startswith(part.prefix):
                raise _refusal(part, 'ended at one of the names') from error
        raise
    for part in named:
        given = _given(part)
        # Buffers of new modules often have the same values.
        own = dict(part.module.named_parameters())
        fitting = matching(given, own, list(own))
        passed_by = [name for name in fitting if not _equal(own[name], given[name])]
        if 2 * len(passed_by) > len(fitting):
            raise _refusal(
                part,
                f'did not take {len(passed_by)} of {len(fitting)} fitting parameters',
            )


def leave_out_replaced(downstream: nn.Module, pairs: Iterable[tuple[str, str]]) -> None:
    """Take away the checkpoints of modules whose tensors are all replaced afterwards.

    Such a file would be downloaded and checked for nothing.

    Args:
        downstream (nn.Module): Before its initialisation; its ``init_cfg`` change.
        pairs (Iterable[tuple[str, str]]): The pairs of both backbones, whose second
            names are of this model.
    """
    known = {upper for _, upper in pairs}
    for name, module in downstream.named_modules():
        found = pretrained_cfgs(module)
        inner = [f'{name}.{k}'.lstrip('.') for k in module.state_dict()]
        if not found or not known.issuperset(inner):
            continue
        cfgs = module.init_cfg if isinstance(module.init_cfg, list) else found
        left = [cfg for cfg in cfgs if cfg not in found] or None
        # torch declares what is set on a module as a tensor or a module.
        object.__setattr__(module, 'init_cfg', left)
        print_log(
            f"downstream.{name}: the checkpoint '{found[0]['checkpoint']}' of its "
            'init_cfg is left out, since theta_D begins as a copy of theta_P',
            logger='current',
        )


def _named(model: nn.Module) -> Iterator[_Named]:
    outer: tuple[str, ...] = ()
    for name, module in model.named_modules():
        # The checkpoint of a module replaces those of the modules within.
        if name.startswith(outer):
            continue
        for cfg in pretrained_cfgs(module):
            outer = (*outer, name and name + '.')
            yield _Named(name, module, cfg['checkpoint'], cfg.get('prefix') or '')


def _given(part: _Named) -> dict[str, Tensor]:
    """The tensors of the file, by the names that mmengine gives them."""
    state = state_dict_of(load_checkpoint(part.path), part.path, as_mmengine=True)
    prefix = part.prefix.rstrip('.') + '.'
    return strip(state, prefix, only=True) if part.prefix else state


def _equal(own: Tensor, given: Tensor) -> bool:
    return torch.equal(own.detach().cpu(), given.cpu().to(own.dtype))


def _refusal(part: _Named, what: str) -> Refusal:
    kind = type(part.module)
    if getattr(part.module, 'convert_weights', False):
        remedy = (
            'convert_weights=True renames the tensors of other releases. Set '
            'convert_weights=False.'
        )
    else:
        remedy = (
            'Type python tools/convert_backbone.py BILEVEL_CONFIG '
            f'{part.path} OUT --bare, and set the file OUT without a prefix.'
        )
    return ValueRefusal(
        f"{part.name or kind.__name__}: {kind.__module__.split('.')[0]}'s "
        f'{kind.__name__} reads the checkpoint of its init_cfg by code of its own, '
        f"which {what} of '{part.path}' (prefix={part.prefix!r}). {remedy}"
    )
