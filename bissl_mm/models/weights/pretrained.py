"""Load pretrained weights, and count the tensors that match."""

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from ...config import is_type
from ...utils.checkpoint import load_checkpoint, state_dict_of
from ...utils.errors import ValueRefusal
from .misfit import (
    REQUIRED_SHARE,
    first_misfit,
    matching,
    refuse_deeper,
    refuse_misfit,
    some,
    stem_remedy,
)
from .provenance import origin_differences
from .public_weights import UnknownLayoutError, to_mmpretrain

#: This many tensors may be missing in any case. A vision transformer may have
#: its own last norm, with weight and bias.
ALLOWED_MISSING = 2


def load_pretrained(model: nn.Module, path: str, required: Sequence[str]) -> None:
    """Load a pretraining checkpoint into a pretext model.

    Known layouts are: pretraining with this package or mmpretrain
    (``backbone.*`` with neck and head), a supervised classifier of mmpretrain, a
    bilevel checkpoint (``pretext.backbone.*``), a bare backbone such as
    torchvision's (``conv1.weight``), and the public releases of
    :func:`~bissl_mm.models.weights.public_weights.to_mmpretrain`. The log says
    which tensors matched.

    Args:
        model (nn.Module): The pretext model; changed in place.
        path (str): See :func:`bissl_mm.utils.checkpoint.load_checkpoint`.
        required (Sequence[str]): Names of the backbone tensors. At least 99% of
            them must be in the file, and none may have another shape.

    Raises:
        ValueError: If fewer match, if one has another shape, or if the file is of
            a deeper backbone.
    """
    checkpoint = load_checkpoint(path)
    given = state_dict_of(checkpoint, path)
    own = model.state_dict()
    required = _counted(own, required)
    layout, state = _best_reading(given, own, required)
    refuse_misfit(f"pretrained: checkpoint '{path}'", model, state, required)
    found = matching(state, own, required)
    matched = matching(state, own, list(own))
    model.load_state_dict({n: state[n] for n in matched}, strict=False)
    rest = [
        n
        for n in own
        if n not in set(matched) and not n.endswith('num_batches_tracked')
    ]
    print_log(
        f"pretrained: '{path}' ({layout}): {len(found)} of {len(required)} "
        f'backbone tensors and {len(matched)} of {len(own)} tensors in all '
        f'matched; left at their initialisation: {some(rest)}; not used: '
        f'{some([n for n in state if n not in set(matched)])}',
        logger='current',
    )
    _warn_of_origin(checkpoint, model, path)


def _warn_of_origin(checkpoint: Any, model: nn.Module, path: str) -> None:
    for line in origin_differences(checkpoint, model, path):
        print_log(line, logger='current', level=logging.WARNING)


def backbone_report(
    model: nn.Module, state: dict[str, Tensor], required: Sequence[str], where: str
) -> str:
    """Describe how a state dict fits the backbone of a model.

    Args:
        model (nn.Module): The model; not changed.
        state (dict[str, Tensor]): Tensors by the names of the model.
        required (Sequence[str]): Names of the backbone tensors.
        where (str): The source of the state dict, for the message.

    Returns:
        str: How many tensors matched and which are missing.

    Raises:
        ValueError: If less than 99% match, if one has another shape, or if the
            tensors are those of a deeper backbone.
    """
    own = model.state_dict()
    required = _counted(own, required)
    refuse_misfit(where, model, state, required)
    found = matching(state, own, required)
    missing = [n for n in required if n not in set(found)]
    return (
        f'{len(found)} of {len(required)} backbone tensors of '
        f'{type(model).__name__} matched; missing: {some(missing)}'
    )


def _counted(own: dict[str, Tensor], names: Sequence[str]) -> list[str]:
    return [n for n in names if n in own and not n.endswith('num_batches_tracked')]


def _best_reading(
    given: dict[str, Tensor], own: dict[str, Tensor], required: list[str]
) -> tuple[str, dict[str, Tensor]]:
    readings = [
        ('mmpretrain', given),
        ('bilevel checkpoint', strip(given, 'pretext.', only=True)),
        ('bare backbone', _add(given, 'backbone.')),
    ]

    def fits(reading: tuple[str, dict[str, Tensor]]) -> tuple[int, int]:
        # If no shape fits, the names tell which reading is meant.
        present = sum(name in reading[1] for name in required)
        return len(matching(reading[1], own, required)), present

    best = max(readings, key=fits)
    if fits(best)[0] < REQUIRED_SHARE * len(required):
        try:
            converted, layout = to_mmpretrain(given)
        except UnknownLayoutError:
            return best
        best = max(best, (layout, converted), key=fits)
    return best


def check_pretrained_init(model: nn.Module) -> list[tuple[str, int, int]]:
    """Verify every ``init_cfg=dict(type='Pretrained', ...)`` of a model.

    mmengine loads such a checkpoint without complaint even if no key fits.

    Args:
        model (nn.Module): A model after ``init_weights``.

    Returns:
        list[tuple[str, int, int]]: For every such module its name, the number
        of tensors that matched and the number of its tensors.

    Raises:
        ValueError: If no tensor of a module matched. Also if, of a backbone,
            more than two tensors and more than 1% did not match, if the file is of
            a deeper one, or if its first convolution has another kernel.
    """
    report = []
    seen: list[tuple[str, dict]] = []
    for name, module in model.named_modules():
        for cfg in pretrained_cfgs(module):
            # RepVGG gives its init_cfg to its blocks, too, whose tensors it has loaded.
            if any(name.startswith(outer) and cfg == other for outer, other in seen):
                continue
            if name:
                seen.append((name + '.', cfg))
            path = cfg['checkpoint']
            checkpoint = load_checkpoint(path)
            state = state_dict_of(checkpoint, path, as_mmengine=True)
            prefix = cfg.get('prefix')
            if prefix:
                state = strip(state, prefix.rstrip('.') + '.', only=True)
            own = {
                k: v
                for k, v in module.state_dict().items()
                if not k.endswith('num_batches_tracked')
            }
            found = matching(state, own, list(own))
            missing = len(own) - len(found)
            allowed = max(ALLOWED_MISSING, (1 - REQUIRED_SHARE) * len(own))
            where = name or type(module).__name__
            is_backbone = where.endswith('backbone')
            # One tensor may be missing, but not the one that all features start from.
            stem = stem_remedy(state, own, list(own)) if is_backbone else ''
            if not found or (is_backbone and (missing > allowed or stem)):
                remedy = stem or _init_remedy(checkpoint, path, own, len(found))
                raise ValueRefusal(
                    f"{where}: init_cfg checkpoint '{path}' (prefix="
                    f'{prefix!r}) fits {len(found)} of {len(own)} tensors.'
                    f'{first_misfit(state, own, list(own))} {remedy}'
                )
            if where.endswith(('backbone', 'shared_head')):
                refuse_deeper(f"{where}: init_cfg checkpoint '{path}'", state, own)
            print_log(
                f"{where}: {len(found)} of {len(own)} tensors matched in '{path}'",
                logger='current',
            )
            if name == 'backbone':
                _warn_of_origin(checkpoint, model, path)
            report.append((where, len(found), len(own)))
    return report


def _init_remedy(
    checkpoint: Any, path: str, own: dict[str, Tensor], num_found: int
) -> str:
    """What to do about a file that does not fit a backbone."""
    try:
        given = state_dict_of(checkpoint, path)
        converted, _ = to_mmpretrain(given)
    except ValueRefusal:
        given = converted = {}
    named = strip(converted, 'backbone.', only=True)
    # mmpretrain's own names are returned as they are.
    if converted is not given and len(matching(named, own, list(own))) > num_found:
        return (
            f'Type python tools/convert_checkpoint.py {path} OUT --config CONFIG, which '
            "knows these names, and set the file OUT with the prefix 'backbone.'."
        )
    return 'Correct the path, the prefix or the depth of the backbone.'


def pretrained_cfgs(module: nn.Module) -> list[dict]:
    cfgs = getattr(module, 'init_cfg', None) or []
    if isinstance(cfgs, dict):
        cfgs = [cfgs]
    return [
        c
        for c in cfgs
        if isinstance(c, dict) and is_type(c, 'Pretrained', 'PretrainedInit')
    ]


def strip(
    state: dict[str, Tensor], prefix: str, only: bool = False
) -> dict[str, Tensor]:
    stripped = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    return stripped if only or stripped else state


def _add(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + k: v for k, v in state.items()}


def check_load_from(model: nn.Module, path: str, share: float) -> None:
    """Refuse a checkpoint that does not fit a whole model.

    A warning says where its model was trained on other pixels, see
    :mod:`~bissl_mm.models.weights.provenance`.

    Args:
        model (nn.Module): The model that it will be loaded into.
        path (str): The checkpoint.
        share (float): Share of the model's tensors that must match. With 0, one
            tensor is enough.

    Raises:
        ValueError: If fewer match, or if the file is of a deeper backbone.
    """
    checkpoint = load_checkpoint(path)
    state = state_dict_of(checkpoint, path, as_mmengine=True)
    own = model.state_dict()
    found = matching(state, own, list(own))
    if not found or len(found) < share * len(own):
        remedy = 'Set the checkpoint of this config.'
        if hasattr(model, 'pretrained_names'):
            # A bilevel model, whose tensors lie under pretext and downstream.
            remedy = (
                f"A pretraining is set as model.pretrained='{path}' in place of "
                'load_from.'
            )
        raise ValueRefusal(
            f"Checkpoint '{path}' fits {len(found)} of {len(own)} tensors of "
            f'{type(model).__name__}.{first_misfit(state, own, list(own))} {remedy}'
        )
    backbone = [n for n in own if 'backbone.' in n]
    refuse_deeper(f"Checkpoint '{path}'", state, backbone)
    _warn_of_origin(checkpoint, model, path)
