"""Finds the weights in a checkpoint."""

import re
from typing import Any

from torch import Tensor

from .errors import ValueRefusal

#: Nested keys under which public releases keep their weights.
PLACES = (
    ('state_dict',),
    ('model',),
    ('model_state_dict',),
    ('online_network_state_dict',),
    ('classy_state_dict', 'base_model', 'model', 'trunk'),
)
#: Two networks side by side, as in the checkpoints of DINO.
PAIR = ('teacher', 'student')
#: Keys for weights at any depth, the likelier ones first.
KEYS = (
    'state_dict',
    'model_state_dict',
    'model_state',
    'model',
    'module',
    'net',
    'network',
    'backbone',
    'encoder',
    'teacher',
    'student',
    'weights',
    'params',
)
#: Keys of other states. Averaged weights are among them, because nothing says
#: whether the user wants them.
OTHERS = re.compile(
    r'optim|sched|scaler|amp$|ema|averag|message_hub|meta$|hyper|rng|loops|'
    r'callback|head|criterion|loss',
    re.IGNORECASE,
)
#: Levels down to which weights are looked for.
DEPTH = 3
#: Prefixes that wrappers put before the names.
_WRAPPERS = re.compile(r'^(?:(?:module|_orig_mod)\.)+|(?<=\.)_orig_mod\.')
#: A set of tensors counts as weights if it has this share of the largest set.
SHARE = 0.1

Path = tuple[str, ...]


def state_dict_of(
    checkpoint: Any, path: str, as_mmengine: bool = False
) -> dict[str, Tensor]:
    """The weights in a checkpoint of one of the usual layouts.

    The prefixes of ``DistributedDataParallel`` (``module.``) and
    ``torch.compile`` (``_orig_mod.``) are removed from the names.

    Args:
        checkpoint: What :func:`~bissl_mm.utils.checkpoint.load_checkpoint`
            returned.
        path (str): Its path, for the message.
        as_mmengine (bool): Look only where mmengine looks when it loads the
            file itself: at the top and under ``state_dict``. Read names as
            mmengine does. Defaults to False.

    Returns:
        dict[str, Tensor]: Tensors by name. If the file holds two networks side
        by side, both are returned, under ``teacher.`` and ``student.``.

    Raises:
        ValueError: If the file holds no tensors by name, or several sets of
            them of which none is clearly meant.
    """
    if as_mmengine:
        inner = _at(checkpoint, PLACES[0])
        tensors = _tensors(inner if inner is not None else checkpoint)
        if not tensors:
            raise ValueRefusal(
                f'Checkpoint {path!r} holds no weights where mmengine looks '
                "for them: at the top and under 'state_dict'. It holds "
                f'{_contents(checkpoint)}. Convert it with '
                'tools/convert_checkpoint.py, which reads more layouts.'
            )
        return {re.sub(r'^module\.', '', k): v for k, v in tensors.items()}
    for place in PLACES:
        tensors = _tensors(_at(checkpoint, place))
        if tensors:
            return _unwrapped(tensors)
    if isinstance(checkpoint, dict) and all(
        _tensors(checkpoint.get(part)) for part in PAIR
    ):
        return {
            f'{part}.{name}': value
            for part in PAIR
            for name, value in _unwrapped(_tensors(checkpoint[part])).items()
        }
    return _unwrapped(_searched(checkpoint, path))


def _at(checkpoint: Any, place: Path) -> Any:
    for key in place:
        checkpoint = checkpoint.get(key) if isinstance(checkpoint, dict) else None
    return checkpoint if isinstance(checkpoint, dict) else None


def _tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        return {}
    return {
        k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)
    }


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {_WRAPPERS.sub('', k): v for k, v in tensors.items()}


def _searched(checkpoint: Any, path: str) -> dict[str, Tensor]:
    """The set of tensors under the likeliest keys."""
    found = _sets(checkpoint, (), set())
    if not found:
        raise ValueRefusal(
            f'Checkpoint {path!r} holds no weights: there is no dict of tensors '
            f'within {DEPTH} levels. It holds {_contents(checkpoint)}. '
            "Save the weights by name under 'state_dict'."
        )
    largest = max(map(len, found.values()))
    found = {
        place: tensors
        for place, tensors in found.items()
        if len(tensors) >= SHARE * largest
    }
    best = min(_rank(place) for place in found)
    chosen = [place for place in found if _rank(place) == best]
    if len(chosen) > 1:
        listed = ', '.join(
            f"'{'.'.join(place)}' ({len(found[place])} tensors)" for place in chosen[:6]
        )
        raise ValueRefusal(
            f'Checkpoint {path!r} holds several sets of weights, and no key '
            f'says which one is meant: {listed}. Save one of them alone under '
            "'state_dict'."
        )
    return found[chosen[0]]


def _sets(content: Any, place: Path, seen: set) -> dict[Path, Any]:
    if not isinstance(content, dict) or id(content) in seen:
        return {}
    seen.add(id(content))
    found = {}
    tensors = _tensors(content)
    # A counter beside the weights is not a set of weights.
    if any(tensor.dim() for tensor in tensors.values()):
        found[place] = tensors
    if len(place) < DEPTH:
        for key, value in content.items():
            if isinstance(key, str):
                found.update(_sets(value, (*place, key), seen))
    return found


def _rank(place: Path) -> tuple[bool, list[int]]:
    """A rank that is lower for likelier places: the top first, then by key."""
    known = [KEYS.index(key) if key in KEYS else len(KEYS) for key in place]
    return (any(OTHERS.search(key) for key in place), known)


def _contents(checkpoint: Any) -> str:
    """The keys and what is under them, for a message."""
    if not isinstance(checkpoint, dict):
        return f'a {type(checkpoint).__name__}'
    parts = []
    for key, value in list(checkpoint.items())[:8]:
        number = len(_tensors(value))
        what = (
            f'{number} tensors'
            if number
            else (
                f'a dict of {len(value)}'
                if isinstance(value, dict)
                else type(value).__name__
            )
        )
        parts.append(f'{key!r} ({what})')
    more = len(checkpoint) - len(parts)
    return (', '.join(parts) + (f' and {more} more' if more else '')) or 'nothing'
