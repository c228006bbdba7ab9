"""Finds keys of a config that nothing reads.

mmengine looks only for the keys that it knows. Two kinds of keys would have no
effect, and nobody would notice: a misspelt key, and a variable of a base that
is changed after the base has used its value.
"""

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..utils.errors import TypeRefusal
from .sources import read_sources
from .types import type_name

#: Top-level keys that are read besides the arguments of the runner: by
#: mmengine, by OpenMMLab's libraries and tools, and by this package.
_OTHERS = (
    'activation_checkpointing',
    'auto_scale_lr',
    'backend_args',
    'compile',
    'custom_imports',
    'data_preprocessor',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'preprocess_cfg',
    'runner_type',
    'search',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
#: Read while the config is read, and no settings afterwards.
_OF_TASKS = {'network', 'networks', 'task'}
#: Settings in which mmengine ignores keys that it does not know.
_WITHIN = {
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'randomness': ('seed', 'diff_rank_seed', 'deterministic'),
}
#: Similarity from which a name counts as a misspelling: short and long names.
_NEAR = (0.8, 0.85)


def known_keys() -> set:
    """All top-level keys that something reads."""
    own = set(inspect.signature(Runner.__init__).parameters)
    return own - {'self', 'cfg'} | set(_OTHERS)


def check_keys_of_files(cfg: Config) -> list[str]:
    """Refuse a misspelt top-level key of a config file.

    A variable that the config or one of its bases uses is accepted. So is a
    name that resembles no key; a line about it is returned.

    Args:
        cfg (Config): As read from its file; not changed.

    Returns:
        list[str]: Lines about keys of the file that nothing reads.

    Raises:
        TypeError: For a key that nearly equals an existing one, or that
            replaces a variable of a base after the base has used its value.
    """
    known, notes, unused = known_keys(), [], []
    if not known & set(cfg.keys()):
        # A base with nothing but variables.
        return notes
    top = read_sources(cfg.filename)
    inherited = top.inherited()
    for source, name in top.unread():
        # Functions and modules are not in the config.
        if name in known | _OF_TASKS or name.startswith('_') or name not in cfg:
            continue
        near = _misspelt(name, known)
        # Users do not edit the files of OpenMMLab's libraries.
        if near and '/.mim/' not in source.path:
            raise TypeRefusal(
                f'{source.path}: nothing reads the key {name!r}. Did you mean '
                f'{_deeper(cfg, name) or near!r}? If it is a variable of your '
                'own, give it another name.'
            )
        if source is not top:
            continue
        if name in inherited:
            text = (
                f'{source.path}: setting {name} has no effect, because the '
                'base has used its value already. '
                f'{_where_it_lives(cfg, name)}'
            )
            # Some configs of OpenMMLab's libraries do this, without harm.
            if isinstance(cfg[name], dict) and '/.mim/' not in source.path:
                raise TypeRefusal(text)
            notes.append(text)
            continue
        unused.append(name)
    # A config written by a program has all variables and uses none of them.
    if unused and (top.bases or top.read & set(top.assigned)):
        hints = [place for place in (_deeper(cfg, n) for n in unused) if place]
        notes.append(
            f'{top.path}: nothing reads the key(s) {", ".join(unused)}.'
            + (f' Did you mean {", ".join(hints)}?' if hints else '')
        )
    for place, allowed in _WITHIN.items():
        for key in _at(cfg, place) or ():
            _check_within(place, key, allowed, f'{cfg.filename}: ')
    return notes


def check_option_keys(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse ``--cfg-options`` on keys that nothing reads.

    Args:
        cfg (Config): Before the options are merged; not changed.
        options (dict): Values by dotted keys.

    Raises:
        TypeError: Naming the right key, or where the value is read now.
    """
    known = known_keys()
    for option in options:
        if '' in option.split('.'):
            raise TypeRefusal(
                f'--cfg-options {option}: a part of the key is empty. Write one dot '
                'between two names.'
            )
        first, _, rest = option.partition('.')
        where = f'--cfg-options {option}: '
        if set(option) & set('\'"'):
            raise TypeRefusal(
                f'{where}the key has a quote. A key with a dot in it cannot be typed '
                'here: write it in a config of your own, which inherits from this one.'
            )
        if first == 'launcher':
            raise TypeRefusal(
                f'{where}nothing reads it here. Type --launcher pytorch, slurm or mpi.'
            )
        if first == 'custom_imports':
            raise TypeRefusal(
                f'{where}modules are imported while the config is read, before this '
                'option. Write custom_imports in a config of your own, which inherits '
                'from this one.'
            )
        for place, allowed in _WITHIN.items():
            if option.startswith(place + '.'):
                key = option[len(place) + 1 :].split('.')[0]
                _check_within(place, key, allowed, where)
        if first in known:
            continue
        if first in _OF_TASKS:
            raise TypeRefusal(f'{where}the task is no setting. Type --task NAME.')
        if first in cfg:
            raise TypeRefusal(
                f'{where}{first!r} is a variable of the config files, which '
                'have used its value already. '
                f'{_where_it_lives(cfg, first, rest)}'
            )
        near = (
            _misspelt(first, known)
            or _deeper(cfg, first)
            or _nearest(first, known, 0.0)
        )
        raise TypeRefusal(f'{where}there is no key {first!r}. Did you mean {near!r}?')


def _check_within(place: str, key: str, allowed: tuple, where: str) -> None:
    if key not in allowed:
        near = _nearest(key, allowed, 0.0)
        raise TypeRefusal(
            f'{where}nothing reads {place}.{key}. Did you mean {place}.{near}?'
        )


def _nearest(name: str, names, cutoff: float) -> str | None:
    found = difflib.get_close_matches(name, sorted(names), 1, cutoff)
    return found[0] if found else None


def _misspelt(name: str, known: set) -> str | None:
    # train_pipeline and test_pipeline are common variables, and tta_pipeline
    # is not what they stand for.
    names = [key for key in known if not key.startswith('tta_')]
    return _nearest(name, names, _NEAR[len(name) > 8])


def _at(cfg: Any, place: str) -> Any:
    for key in place.split('.'):
        cfg = cfg.get(key) if hasattr(cfg, 'get') else None
    return cfg


def _deeper(cfg: Config, name: str) -> str | None:
    """The dotted place of a key of this name, deeper in the config."""
    return next(
        (
            place
            for key in cfg
            if key in known_keys()
            for place, _ in walk(key, cfg[key])
            if place.endswith('.' + name)
        ),
        None,
    )


def _where_it_lives(cfg: Config, name: str, rest: str = '') -> str:
    """A sentence that says where the value of a variable is used."""
    known = known_keys()
    nodes = [
        (place, node)
        for key in cfg
        if key in known
        for place, node in walk(key, cfg[key])
    ]
    value = cfg[name]
    places = [
        place for place, node in nodes if type(node) is type(value) and node == value
    ]
    if not places and isinstance(value, dict):
        # The value was changed later, but kept its name or its type.
        places = [
            place
            for place, node in nodes
            if isinstance(node, dict) and place.rpartition('.')[2] == name
        ]
        places = places or [
            place
            for place, node in nodes
            if isinstance(node, dict)
            and node.get('type') is not None
            and type_name(node['type']) == type_name(value.get('type'))
        ]
    if not places:
        return 'Set the value where it is used.'
    keys = [f'{place}.{rest}' if rest else place for place in places[:3]]
    more = f' and {len(places) - 3} more' if len(places) > 3 else ''
    return f'Set it where it is used: {", ".join(keys)}{more}.'


def walk(place: str, node: Any) -> Iterator[tuple[str, Any]]:
    """A node of a config and all nodes within it, with their dotted keys.

    Args:
        place (str): Dotted key of the node.
        node (Any): A dict, a list or a value.
    """
    yield place, node
    if isinstance(node, dict):
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    else:
        return
    for key, value in items:
        yield from walk(f'{place}.{key}', value)
