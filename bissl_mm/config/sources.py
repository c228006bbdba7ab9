"""Finds which keys the files of a config set, and which they read."""

import ast
import os.path as osp
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from functools import lru_cache

from mmengine.config import Config
from mmengine.fileio import load

from .environment import with_variables
from .plain_yaml import load_yaml


@dataclass
class Source:
    """A config file.

    Attributes:
        path (str): The file.
        assigned (list[str]): Top-level names it sets.
        read (set[str]): Names that it uses, as variables, as ``_base_.NAME``
            or within a string.
        bases (list[Source]): The files it inherits from.
        tree (ast.Module, optional): The syntax tree of a Python file.
    """

    path: str
    assigned: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    bases: list['Source'] = field(default_factory=list)
    tree: ast.Module | None = None

    def chain(self) -> Iterator['Source']:
        """The file and all that it inherits from, itself first."""
        yield self
        for base in self.bases:
            yield from base.chain()

    def inherited(self) -> set[str]:
        """Names that the bases set."""
        found: set[str] = set()
        for base in self.bases:
            found |= {*base.assigned, *base.inherited()}
        return found

    def unread(self, above: Set[str] = frozenset()) -> Iterator[tuple]:
        """Pairs of a source and a name that nothing reads after it was set.

        Args:
            above (set[str]): Names read by the files that inherit from this
                one.
        """
        read = self.read | above
        for name in self.assigned:
            if name not in read:
                yield self, name
        for base in self.bases:
            yield from base.unread(read)


def read_sources(path: str) -> Source:
    """A config file and its bases; those that cannot be found are left out."""
    source = Source(path)
    if not osp.isfile(path):
        return source
    if not path.endswith('.py'):
        return _read_data(source)
    with open(path, encoding='utf-8') as file:
        source.tree, assigned, read = _parse(file.read())
    source.assigned, source.read = list(assigned), set(read)
    source.bases = [read_sources(base) for base in _bases(source.tree, path)]
    return source


# An experiment asks for the tasks of some dozens of configs, which share their bases.
@lru_cache(maxsize=512)
def _parse(text: str) -> tuple[ast.Module, list[str], set[str]]:
    """Syntax tree of a Python file, the names that it sets, and those it reads."""
    tree = ast.parse(text)
    assigned = list(dict.fromkeys(n for node in tree.body for n in _targets(node)))
    read = set(re.findall(r'\b_base_\.(\w+)', text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            read.add(node.value)
    return tree, assigned, read


def _read_data(source: Source) -> Source:
    """A config in JSON or YAML, which can read only its bases' variables."""
    try:
        keys = (
            load(source.path)
            if source.path.endswith('.json')
            else load_yaml(source.path)
        )
    except Exception:
        # Variables that are not replaced yet may not be JSON or YAML.
        return source
    source.assigned = [key for key in keys if key != '_base_']
    with open(source.path, encoding='utf-8') as file:
        source.read = set(re.findall(r'\b_base_\.(\w+)', file.read()))
    bases = keys.get('_base_') or []
    source.bases = [
        read_sources(Config._get_cfg_path(base, source.path)[0])
        for base in ([bases] if isinstance(bases, str) else bases)
    ]
    return source


def inherited_settings(top: Source, key: str) -> tuple[str, str, set] | None:
    """A component that a file gives another type but not new settings.

    Args:
        top (Source): The file.
        key (str): Name of the component's key, ``'solver'``.

    Returns:
        tuple[str, str, set], optional: The base's type, the file's type, and
        the settings that the file gives. None if the types are equal, or if
        the file deletes the base's settings.
    """
    own = _component(top, key)
    if own is None or '_delete_' in own[1]:
        return None
    for base in top.bases:
        theirs = next(
            (c for c in (_component(b, key) for b in base.chain()) if c), None
        )
        if theirs and theirs[0] != own[0]:
            return theirs[0], own[0], own[1]
    return None


def _component(source: Source, key: str) -> tuple[str, set] | None:
    """Type and keys of ``key=dict(type=...)`` in a file."""
    for node in ast.walk(source.tree) if source.tree else ():
        if (
            not isinstance(node, ast.keyword)
            or node.arg != key
            or not isinstance(node.value, ast.Call)
        ):
            continue
        given = {k.arg: k.value for k in node.value.keywords}
        kind = getattr(given.get('type'), 'value', None)
        if isinstance(kind, str):
            return kind, set(given)
    return None


def _targets(node: ast.stmt) -> Iterator[str]:
    targets = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    for target in targets:
        for part in ast.walk(target):
            if (
                isinstance(part, ast.Name)
                and part.id != '_base_'
                and isinstance(part.ctx, ast.Store)
            ):
                yield part.id


def _bases(tree: ast.Module, path: str) -> Iterator[str]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and getattr(node.targets[0], 'id', None) == '_base_'
        ):
            try:
                named = ast.literal_eval(node.value)
            except ValueError:
                return
            for base in [named] if isinstance(named, str) else named:
                yield Config._get_cfg_path(with_variables(base), path)[0]
        elif isinstance(node, ast.With):
            # mmengine's new style: with read_base(): from .x import *
            for inner in node.body:
                if isinstance(inner, ast.ImportFrom) and inner.level:
                    yield osp.join(
                        osp.dirname(path),
                        *['..'] * (inner.level - 1),
                        (inner.module or '').replace('.', '/') + '.py',
                    )
