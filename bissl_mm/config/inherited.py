"""Settings that a component of another type inherits from a base."""

import os.path as osp
from typing import Any

from mmengine.config import Config

from ..utils.errors import TypeRefusal
from .options import accepted_settings
from .sources import Source, inherited_settings, read_sources
from .types import type_name

_SYSTEM = 'optim_wrapper.hypergradient'
_SOLVER = f'{_SYSTEM}.solver'
#: Solvers whose usual damping is the paper's; others have solved at 100.
_AT_TEN = ('LayerwiseCGSolver', 'LowRankSolver')
_REGULARIZER = 'optim_wrapper.regularizer'


def inherited_notes(cfg: Config) -> list[str]:
    """Look for a solver or a regularizer with settings of its base's type.

    Args:
        cfg (Config): As read from its file; not changed.

    Returns:
        list[str]: Lines about what a solver inherits.

    Raises:
        TypeError: If a regularizer inherits a setting that its type does not have.
    """
    if not cfg.filename or not osp.isfile(cfg.filename):
        return []
    from ..registry import REGULARIZERS

    top = read_sources(cfg.filename)
    found = _kept(top, cfg, _REGULARIZER)
    if found is not None:
        old, new, kept = found
        known = accepted_settings(new, kept, REGULARIZERS)
        foreign = [key for key in kept if key not in known]
        if foreign:
            raise TypeRefusal(
                f'{top.path}: {_REGULARIZER}: {new} has no {_listed(kept, foreign)}, '
                f'which it inherits from {old}. Add _delete_=True, and {new} starts '
                'from its own defaults.'
            )
    found = _kept(top, cfg, _SOLVER)
    if found is None:
        return []
    old, new, kept = found
    return [
        f'{top.path}: {_SOLVER}: {new} inherits {_listed(kept, kept)} from {old}. '
        f"Add _delete_=True to start from {new}'s own defaults."
    ]


def system_notes(cfg: Config) -> list[str]:
    """Look for a solver that kept what only v itself has.

    Args:
        cfg (Config): With all options.

    Returns:
        list[str]: A line about the damping and the check of the residual.
    """
    system: Any = cfg
    for key in _SYSTEM.split('.'):
        system = system.get(key) if hasattr(system, 'get') else None
    if not isinstance(system, dict) or not isinstance(system.get('solver'), dict):
        return []
    name = type_name(system['solver'].get('type')).rpartition('.')[2]
    if name in ('IdentitySolver', 'DiscardSolver') or system.get('unrolled_steps'):
        return []
    if system.get('check_residual') != 'never':
        return []
    damping = 10 if name in _AT_TEN else 100
    missing = f' {_SYSTEM}.damping={damping}' if system.get('damping') == 0 else ''
    return [
        f"{_SYSTEM}: the solver is {name}, but check_residual='never'"
        f'{" and damping=0" if missing else ""}, as for IdentitySolver: nothing will say '
        f'whether its system was solved. Set{missing} {_SYSTEM}.check_residual=random.'
    ]


def _kept(top: Source, cfg: Any, place: str) -> tuple[str, str, dict] | None:
    """The base's type, the file's type and what the latter inherits, if anything."""
    changed = inherited_settings(top, place.rpartition('.')[2])
    for key in place.split('.'):
        cfg = cfg.get(key) if hasattr(cfg, 'get') else None
    if changed is None or not isinstance(cfg, dict):
        return None
    old, new, given = changed
    kept = {k: v for k, v in cfg.items() if k not in given and k != '_scope_'}
    return (old, new, kept) if kept else None


def _listed(settings: dict, keys: Any) -> str:
    return ', '.join(f'{key}={settings[key]!r}' for key in keys)
