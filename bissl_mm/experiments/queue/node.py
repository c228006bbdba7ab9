"""A run of an experiment, as plain data."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: Kinds of runs, in the order of the stages.
KINDS = ('pretrain', 'stage', 'search', 'seed', 'features')


@dataclass(frozen=True)
class Node:
    """One run.

    Attributes:
        key (str): Digest of everything that its result depends on: the merged
            config, the seed, and the keys of its parents.
        kind (str): One of :data:`KINDS`.
        label (dict): What a reader calls it: setting, task, arm, variant.
        parents (tuple[str]): Keys of the runs that have to be finished before.
        spec (dict): What the worker needs; plain values.
    """

    key: str
    kind: str
    label: dict[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        found = ', '.join(str(v) for v in self.label.values() if v not in (None, ''))
        return f'{self.kind} {found}'.rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> 'Node':
        """From what :meth:`to_dict` gave."""
        return cls(**{**found, 'parents': tuple(found['parents'])})


class Graph:
    """Nodes in an order in which they can be executed.

    Args:
        nodes (Iterable[Node]): Parents come before their children. Of equal
            keys the first is kept: it is one run.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            self.nodes.setdefault(node.key, node)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, key: str) -> Node:
        return self.nodes[key]


def digest(*parts: Any) -> str:
    """A key: 20 hexadecimal digits that depend on all parts.

    Args:
        *parts: Plain values. Those that JSON lacks count by their ``repr``.
    """
    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
