"""Convert the tensor names of public releases to mmpretrain's.

Only names change. No file is opened, and a converted state contains the same
tensors as the given one.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from ...utils.errors import ValueRefusal

KNOWN = (
    'mmpretrain; ResNets named as in torchvision (conv1, '
    'layer1.0.conv1) or as an nn.Sequential of its parts (0, '
    '4.0.conv1); the first GPT as in transformers (tokens_embed, '
    'h.0.attn.c_attn); vision transformers named as in timm '
    '(patch_embed.proj, blocks.0.attn.qkv), of MAE with the decoder; '
    'each bare or under any prefix, for example encoder_q'
)

# Words in a prefix that tell which of two copies of a backbone it is.
PREFERRED = {'online', 'q', 'query', 'pretext'}
AVERAGED = {'momentum', 'target', 'ema', 'k', 'key', 'teacher', 'downstream'}

_BLOCK = {
    'norm1': 'ln1',
    'norm2': 'ln2',
    'attn.qkv': 'attn.qkv',
    'attn.proj': 'attn.proj',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
_SCALE = {'ls1.gamma': 'attn.gamma1.weight', 'ls2.gamma': 'ffn.gamma2.weight'}
_VIT = {
    'cls_token': 'backbone.cls_token',
    'pos_embed': 'backbone.pos_embed',
    'patch_embed.proj': 'backbone.patch_embed.projection',
    'norm_pre': 'backbone.pre_norm',
    'norm': 'backbone.ln1',
    # This norm follows the average over tokens. There is then no norm before it.
    'fc_norm': 'backbone.ln2',
}
_DECODER = {
    'mask_token': 'neck.mask_token',
    'decoder_pos_embed': 'neck.decoder_pos_embed',
    'decoder_embed': 'neck.decoder_embed',
    'decoder_norm': 'neck.ln1',
    'decoder_pred': 'neck.decoder_pred',
}


class UnknownLayoutError(ValueRefusal):
    """No key of a state dict belongs to a known backbone."""


class _Naming(NamedTuple):
    title: str
    #: A key of every such backbone; keys of the state may end in it.
    anchor: str
    #: Another key, which must be there with the same prefix.
    first: str
    #: Name without the prefix -> name in mmpretrain; None to leave it out.
    rename: Callable[[str, dict[str, str]], str | None]


def to_mmpretrain(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Give the tensors of a public release their names in mmpretrain.

    The backbone becomes ``backbone.*``, and the decoder of MAE ``neck.*``.
    Classifiers and projection heads are left out, because their architectures
    differ. If there are two copies of the backbone, the one that is trained by
    gradients is taken; of DINO, the teacher.

    Args:
        state (dict[str, Tensor]): Tensors by name, with any prefix.

    Returns:
        tuple[dict[str, Tensor], str]: The renamed tensors, and a description of
        the layout. If the names are mmpretrain's already, this is the given
        dict itself.

    Raises:
        UnknownLayoutError: A ValueError, if there is no known backbone.
        ValueError: If there are two backbones and no name says which one is
            meant, or if the backbone has a part that mmpretrain's lacks.
    """
    naming, prefix, others = _choose(_find(state), state)
    names = {key[len(prefix) :]: key for key in state if key.startswith(prefix)}
    if (
        prefix == 'backbone.'
        and naming.rename in (_resnet, _same)
        and not any(name.startswith('fc.') for name in names)
        or prefix == 'backbone.transformer.'
    ):
        return state, 'mmpretrain'
    converted = {}
    for name, key in names.items():
        new = naming.rename(name, names)
        if new is not None:
            converted[new] = state[key]
    decoder = (
        ' with the decoder of MAE'
        if any(name.startswith('neck.') for name in converted)
        else ''
    )
    where = f"under '{prefix}'" if prefix else 'without a prefix'
    instead = f', not {_listed(others)}' if others else ''
    return converted, f'{naming.title}{decoder}, {where}{instead}'


def _find(state: dict[str, Tensor]) -> list[tuple[_Naming, str]]:
    found = []
    for key in state:
        for naming in _NAMINGS:
            prefix = key[: -len(naming.anchor)]
            if (
                key.endswith(naming.anchor)
                and (not prefix or prefix.endswith('.'))
                and prefix + naming.first in state
            ):
                found.append((naming, prefix))
    return found


def _choose(
    found: list[tuple[_Naming, str]], state: dict[str, Tensor]
) -> tuple[_Naming, str, list[str]]:
    if not found:
        raise UnknownLayoutError(
            'Public weights: no known backbone among the '
            f'{len(state)} keys, which begin with '
            f'{_listed(list(state)[:5])}. Known: {KNOWN}. Rename the keys to '
            "one of these, or to mmpretrain's 'backbone.*'."
        )
    ranks = _ranks([prefix for _, prefix in found])
    chosen = [pair for pair in found if ranks[pair[1]] == min(ranks.values())]
    if len(chosen) > 1:
        raise ValueRefusal(
            'Public weights: there are several backbones, under '
            f'{_listed([prefix for _, prefix in chosen])}, but no name says '
            'which one is meant. Save one of them alone and use that file.'
        )
    naming, prefix = chosen[0]
    return naming, prefix, [p for _, p in found if p != prefix]


def _ranks(prefixes: list[str]) -> dict[str, int]:
    """A rank by prefix, lower for the copy that is meant."""
    words = {prefix: set(re.split('[._]', prefix)) for prefix in prefixes}
    preferred, averaged = PREFERRED, AVERAGED
    if any('student' in found for found in words.values()):
        # DINO's teacher is the copy that its authors recommend. Beside a copy of
        # another name a teacher is an average like others.
        preferred, averaged = preferred | {'teacher'}, averaged ^ {'teacher', 'student'}
    return {
        prefix: 2 if found & averaged else 0 if found & preferred else 1
        for prefix, found in words.items()
    }


def _resnet(name: str, names: dict[str, str], key: str | None = None) -> str | None:
    if re.match(r'layer\d\.', name):
        # Any other part of a block, for example squeeze-and-excitation, changes
        # what the block computes.
        if not re.match(r'layer\d\.\d+\.(conv\d|bn\d|downsample\.[01])\.', name):
            raise _no_counterpart(key or names[name], 'ResNet')
    elif not re.match(r'(conv1|bn1)\.', name):
        return None
    return 'backbone.' + name


def _sequential(name: str, names: dict[str, str]) -> str | None:
    # Networks for small images have no max pooling; their stages begin at 3.
    first = 3 if '3.0.conv1.weight' in names else 4
    parts = {
        '0': 'conv1',
        '1': 'bn1',
        **{str(first + i): f'layer{i + 1}' for i in range(4)},
    }
    head, _, rest = name.partition('.')
    if head not in parts:
        return None
    return _resnet(f'{parts[head]}.{rest}', names, key=names[name])


def _vit(name: str, names: dict[str, str]) -> str | None:
    known = {**_VIT, **(_DECODER if 'decoder_embed.weight' in names else {})}
    if name in known:
        return known[name]
    module, _, kind = name.rpartition('.')
    if module in known and kind in ('weight', 'bias'):
        return f'{known[module]}.{kind}'
    block = re.fullmatch(r'(decoder_)?blocks\.(\d+)\.(.+)', name)
    if block:
        decoder, number, inner = block.groups()
        place = (
            f'neck.decoder_blocks.{number}.'
            if decoder
            else f'backbone.layers.{number}.'
        )
        if inner in _SCALE:
            return place + _SCALE[inner]
        module, _, kind = inner.rpartition('.')
        if module in _BLOCK and kind in ('weight', 'bias'):
            return f'{place}{_BLOCK[module]}.{kind}'
    if (
        block
        or name in ('dist_token', 'reg_token', 'register_tokens')
        or name.startswith(('rope.', 'attn_pool.'))
    ):
        raise _no_counterpart(names[name], 'VisionTransformer')
    return None


def _same(name: str, names: dict[str, str]) -> str | None:
    return 'backbone.' + name


def _gpt(name: str, names: dict[str, str]) -> str | None:
    is_weight = name.startswith(('tokens_embed.', 'positions_embed.', 'h.'))
    # The masks of attention are buffers there.
    is_mask = name.endswith('.attn.bias')
    return f'backbone.transformer.{name}' if is_weight and not is_mask else None


def _no_counterpart(key: str, model: str) -> ValueRefusal:
    return ValueRefusal(
        f"Public weights: '{key}' has no counterpart in mmpretrain's {model}. "
        'Its features would not be those of the release. Use a release of '
        'the plain architecture.'
    )


def _listed(names: list[str]) -> str:
    return ', '.join(f"'{n}'" for n in names) if names else 'nothing'


_NAMINGS = (
    _Naming(
        'ResNet in the naming of torchvision',
        'layer1.0.conv1.weight',
        'conv1.weight',
        _resnet,
    ),
    _Naming('ResNet as nn.Sequential', '4.0.conv1.weight', '0.weight', _sequential),
    _Naming(
        'ViT in the naming of timm',
        'blocks.0.attn.qkv.weight',
        'patch_embed.proj.weight',
        _vit,
    ),
    _Naming(
        'ViT in the naming of mmpretrain',
        'layers.0.attn.qkv.weight',
        'patch_embed.projection.weight',
        _same,
    ),
    _Naming(
        'GPT in the naming of transformers',
        'tokens_embed.weight',
        'h.0.attn.c_attn.weight',
        _gpt,
    ),
)
