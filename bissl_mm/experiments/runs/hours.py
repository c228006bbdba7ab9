"""How long the runs of a graph take: from those that are finished."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ..queue.node import KINDS, Graph, Node
from ..queue.store import Store
from ..queue.worker import outlook


def group_of(node: Node) -> tuple[Any, ...]:
    """Runs that take equally long: all but learning rate, weight decay and seed."""
    label = {
        k: v
        for k, v in node.label.items()
        if k not in ('lr', 'weight_decay', 'seed', 'stage')
    }
    kind = 'fine_tune' if node.kind in ('search', 'seed') else node.kind
    return (kind, *label.items())


class Hours:
    """Hours of runs, by what is measured.

    A run counts as long as the finished ones of its group on average; where
    there is none, as those of the same kind and task, or else of the same kind.

    Args:
        graph (Graph): All runs.
        store (Store, optional): With their results.
        measured (Callable, optional): Seconds of a run from a few timed steps. It
            is called for one run of each group of which none is finished.

    Attributes:
        devices (dict[str, float]): Hours of the finished runs by kind of device.
    """

    def __init__(
        self,
        graph: Graph,
        store: Store | None,
        measured: Callable[[Node], float] | None = None,
    ) -> None:
        self.graph = graph
        self.seconds: dict[str, float] = {}
        self.devices: dict[str, float] = defaultdict(float)
        done = set() if store is None else store.done()
        for node in graph:
            if node.key in done:
                assert store is not None
                found = store.result(node.key)
                self.seconds[node.key] = found['seconds'] if found else 0.0
                device = (found or {}).get('device', 'unknown device')
                self.devices[device] += self.seconds[node.key] / 3600
        self._means = [self._mean(level) for level in range(3)]
        if measured is not None:
            for node in graph:
                group = group_of(node)
                if group not in self._means[0]:
                    self._means[0][group] = measured(node)

    def spent(self) -> float:
        """Hours of the finished runs."""
        return sum(self.seconds.values()) / 3600

    def of(self, node: Node) -> float | None:
        """Hours that a run takes or took; None if nothing is known."""
        if node.key in self.seconds:
            return self.seconds[node.key] / 3600
        for level, means in enumerate(self._means):
            found = means.get(_group(node, level))
            if found is not None:
                return found / 3600
        return None

    def left(self) -> tuple[float, dict[str, int]]:
        """Hours of the runs that are not finished, and the numbers of those of
        which nothing is known, by kind."""
        total = 0.0
        unknown: dict[str, int] = dict.fromkeys(KINDS, 0)
        for node in self.graph:
            if node.key in self.seconds:
                continue
            hours = self.of(node)
            if hours is None:
                unknown[node.kind] += 1
            else:
                total += hours
        return total, {kind: n for kind, n in unknown.items() if n}

    def _mean(self, level: int) -> dict[tuple, float]:
        found = defaultdict(list)
        for key, seconds in self.seconds.items():
            found[_group(self.graph[key], level)].append(seconds)
        return {group: statistics.fmean(values) for group, values in found.items()}


def _group(node: Node, level: int) -> tuple[Any, ...]:
    whole = group_of(node)
    if level == 0:
        return whole
    return (whole[0], node.label.get('task')) if level == 1 else whole[:1]


def left_line(graph: Graph, store: Store) -> str:
    """How much time is left, in one line."""
    hours, unknown = Hours(graph, store).left()
    running = len(outlook(graph, store.state(graph)).running)
    text = f'Left: {hours:.2f} hours of runs'
    if running:
        text += f', {hours / running:.2f} hours with the {running} that run now'
    if unknown:
        parts = ' and '.join(f'{n} of the kind {kind}' for kind, n in unknown.items())
        text += f', and {parts}, of which none is finished yet'
    return text + '.'
