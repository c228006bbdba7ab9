"""Refuse tensors that do not fit a model, or only a part of which fits."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import Tensor, nn

from ...utils.errors import ValueRefusal

#: Share of the backbone tensors that must match.
REQUIRED_SHARE = 0.99

#: Blocks of the four stages of a ResNet -> depth, with two and with three
#: convolutions in a block.
_DEPTHS: dict[bool, dict[tuple[int, ...], int]] = {
    False: {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34},
    True: {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152},
}


def refuse_misfit(
    where: str, model: nn.Module, state: dict[str, Tensor], required: Sequence[str]
) -> None:
    """Refuse tensors that are not those of a model's backbone.

    Args:
        where (str): The source of the tensors, for the message.
        model (nn.Module): The model; not changed.
        state (dict[str, Tensor]): Tensors by the names of the model.
        required (Sequence[str]): Names of the backbone tensors.

    Raises:
        ValueError: If less than 99% match, if one has another shape, or if the
            tensors are those of a deeper network.
    """
    own = model.state_dict()
    found = matching(state, own, required)
    missing = [n for n in required if n not in state]
    other = [n for n in required if n in state and state[n].shape != own[n].shape]
    if len(found) >= REQUIRED_SHARE * len(required) and not other:
        refuse_deeper(where, state, required)
        return
    remedy = stem_remedy(state, own, required) or (
        'Give the backbone the depth and width of the checkpoint, or '
        'set another checkpoint.'
    )
    if other and 'embed' in other[0]:
        remedy = (
            'Give the backbone the img_size and patch_size of the '
            'checkpoint, or set another checkpoint. Position '
            'embeddings are not interpolated.'
        )
    raise ValueRefusal(
        f'{where} fits {len(found)} of {len(required)} backbone tensors of '
        f'{type(model).__name__} (at least {REQUIRED_SHARE:.0%} are needed, '
        f'and none in another shape).'
        f'{first_misfit(state, own, other or required)} Missing: '
        f'{some(missing)}; in another shape: {some(other)}. {remedy}'
    )


def stem_remedy(
    state: dict[str, Tensor], own: dict[str, Tensor], required: Sequence[str]
) -> str:
    """What to set if a ResNet differs in the kernel of its first convolution alone.

    Args:
        state (dict[str, Tensor]): Tensors by the names of the model.
        own (dict[str, Tensor]): The state dict of the model.
        required (Sequence[str]): Names of the backbone tensors.

    Returns:
        str: Two sentences, or an empty string if anything else differs, too, or
        nothing.
    """
    fits = set(matching(state, own, required))
    misfits = [n for n in required if n not in fits]
    if len(misfits) != 1 or not re.fullmatch(r'(backbone\.)?conv1\.weight', misfits[0]):
        return ''
    ours, theirs = own[misfits[0]].shape, getattr(state.get(misfits[0]), 'shape', ())
    if len(theirs) != 4 or theirs[:2] != ours[:2]:
        return ''
    remedy = 'Give the backbone this stem'
    if theirs[2:] == (3, 3):
        remedy = (
            "Set type='ResNet_CIFAR' on the backbone, which is mmpretrain's ResNet "
            'for small images, with this kernel and without pooling'
        )
    elif theirs[2:] == (7, 7):
        remedy = "Set type='ResNet' on the backbone"
    return (
        f'Only the kernel of the first convolution differs, which is {theirs[2]} x '
        f'{theirs[3]} in the file. {remedy}, or set another checkpoint.'
    )


def refuse_deeper(
    where: str, state: dict[str, Tensor], required: Collection[str]
) -> None:
    """Refuse tensors of a network that has more blocks than the model's.

    The first blocks of a deeper network fit as a whole, and compute something
    else. A stage that the model lacks as a whole is allowed: C4 detectors end
    before the last one.

    Args:
        where (str): The source of the tensors, for the message.
        state (dict[str, Tensor]): Tensors by the names of the model.
        required (Collection[str]): Names of the backbone tensors.

    Raises:
        ValueError: If there is a further block in a stage of the model.
    """
    given = _blocks(state)
    for stage, own in _blocks(required).items():
        last, blocks = max(own), given.get(stage, {})
        # The next one is of the same kind. Only a first block may downsample.
        if own[last] & blocks.get(last + 1, set()):
            raise ValueRefusal(
                f"{where} is deeper than the model: it has '{stage}.{last + 1}', but "
                f"the last block of this stage of the model is '{stage}.{last}'. "
                f'{_depth(stage, given)}, or set another checkpoint. To cut the '
                'network on purpose, save a file without the further blocks.'
            )


def _blocks(names: Iterable[str]) -> dict[str, dict[int, set[str]]]:
    """Stage -> number of the block -> names in the block.

    A block is a numbered module with named submodules. Numbered layers, such as
    those of a downsampling, and numbered stages are none.
    """
    found: dict[str, dict[int, set[str]]] = {}
    for name in names:
        for match in re.finditer(r'\.(\d+)\.(?=[a-z]\w*\.)', name):
            stage = name[: match.start()]
            if not stage.endswith('stages') and not name.endswith('batches_tracked'):
                inner = found.setdefault(stage, {}).setdefault(int(match[1]), set())
                inner.add(name[match.end() :])
    return found


def _depth(stage: str, given: dict[str, dict[int, set[str]]]) -> str:
    """What to set to have as many blocks as a file."""
    before, _, name = stage.rpartition('.')
    if re.fullmatch(r'layer\d', name):
        stages = [given.get(f'{before}.layer{i}'.lstrip('.'), {}) for i in (1, 2, 3, 4)]
        bottleneck = any('conv3.weight' in block for block in stages[0].values())
        depth = _DEPTHS[bottleneck].get(tuple(map(len, stages)))
        if depth is not None:
            return f'Set depth={depth} on the backbone'
    if name == 'layers' and 'stages' not in stage:
        return f"Set num_layers={len(given[stage])} in the backbone's arch"
    if name == 'h':
        return f'Set num_layers={len(given[stage])} on the backbone'
    return 'Give the backbone the depth of the checkpoint'


def matching(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Sequence[str]
) -> list[str]:
    """The names whose tensors have the same shape in both state dicts."""
    return [n for n in names if n in state and state[n].shape == own[n].shape]


def first_misfit(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Sequence[str]
) -> str:
    """A sentence on the first name that is missing or has another shape."""
    for name in names:
        if name not in state:
            return (
                f" '{name}' is not in the file, which begins with {some(list(state))}."
            )
        if state[name].shape != own[name].shape:
            return (
                f" '{name}' has shape {tuple(state[name].shape)} in the "
                f'file and {tuple(own[name].shape)} in the model.'
            )
    return ''


def some(names: list[str]) -> str:
    """The first three of some names."""
    if not names:
        return 'nothing'
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(f"'{n}'" for n in names[:3]) + more
