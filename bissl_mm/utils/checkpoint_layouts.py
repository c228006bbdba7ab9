"""Where in a checkpoint its weights are."""

import re
from typing import Any

from torch import Tensor

from .errors import ValueRefusal

#: Where public releases keep their weights, as keys within keys.
PLACES = (
    ('state_dict',),
    ('model',),
    ('model_state_dict',),
    ('online_network_state_dict',),
    ('classy_state_dict', 'base_model', 'model', 'trunk'),
)
#: Two networks side by side, as in the checkpoints of DINO.
PAIR = ('teacher', 'student')
#: Keys for weights, the likelier first, at whatever depth.
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
#: Keys of other states; of averages it is not known who wants them.
OTHERS = re.compile(
    r'optim|sched|scaler|amp$|ema|averag|message_hub|meta$|hyper|rng|loops|'
    r'callback|head|criterion|loss',
    re.IGNORECASE,
)
#: How deep weights are looked for.
DEPTH = 3
#: What wrappers put before the names.
_WRAPPERS = re.compile(r'^(?:(?:module|_orig_mod)\.)+|(?<=\.)_orig_mod\.')
#: Share of the largest set of tensors that another needs to be one.
SHARE = 0.1

Path = tuple[str, ...]


def state_dict_of(
    checkpoint: Any, path: str, as_mmengine: bool = False
) -> dict[str, Tensor]:
    """The weights in a checkpoint of the usual layouts.

    Names lose what ``DistributedDataParallel`` (``module.``) and
    ``torch.compile`` (``_orig_mod.``) put before them.

    Args:
        checkpoint: What :func:`~bissl_mm.utils.checkpoint.load_checkpoint`
            returned.
        path (str): Its path, for the message.
        as_mmengine (bool): Look only where mmengine does when it loads the
            file itself, at the top and under ``state_dict``, and read names
            as it does. Defaults to False.

    Returns:
        dict[str, Tensor]: Tensors by name; of two networks side by side
        those of both, under ``teacher.`` and ``student.``.

    Raises:
        ValueError: If it holds no tensors by name, or several sets of them
            and nothing says which is meant.
    """
    if as_mmengine:
        inner = _at(checkpoint, PLACES[0])
        tensors = _tensors(inner if inner is not None else checkpoint)
        if not tensors:
            raise ValueRefusal(
                f'Checkpoint {path!r} holds no weights: expected a dict of '
                "tensors, alone or under 'state_dict'. "
                'tools/convert_checkpoint.py reads more layouts and writes '
                f'this one. It holds {_contents(checkpoint)}.'
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
            f'Checkpoint {path!r} holds no weights: no dict of tensors by '
            f'name within {DEPTH} levels. It holds {_contents(checkpoint)}. '
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
            f'Checkpoint {path!r} holds several sets of weights and no key '
            f'says which is meant: {listed}. Save one of them alone, under '
            "'state_dict'."
        )
    return found[chosen[0]]


def _sets(content: Any, place: Path, seen: set) -> dict[Path, Any]:
    if not isinstance(content, dict) or id(content) in seen:
        return {}
    seen.add(id(content))
    found = {}
    tensors = _tensors(content)
    # A counter beside the weights is none.
    if any(tensor.dim() for tensor in tensors.values()):
        found[place] = tensors
    if len(place) < DEPTH:
        for key, value in content.items():
            if isinstance(key, str):
                found.update(_sets(value, (*place, key), seen))
    return found


def _rank(place: Path) -> tuple[bool, list[int]]:
    """Lower for likelier places: the top, then by the list of keys."""
    known = [KEYS.index(key) if key in KEYS else len(KEYS) for key in place]
    return (any(OTHERS.search(key) for key in place), known)


def _contents(checkpoint: Any) -> str:
    """Keys and what lies under them, for a message."""
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
