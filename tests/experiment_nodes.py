"""Runs of a few milliseconds for tests of the queue. Imports no torch."""

import json
import os
import time
from pathlib import Path

from bissl_mm.experiments.queue.node import Graph, Node, digest


def graph(number: int, folder: Path, seconds: float = 0.0) -> Graph:
    """Layers of ten runs, each of which needs two runs of the layer before.

    Args:
        number (int): Number of runs.
        folder (Path): Where each run writes that it was made.
        seconds (float): How long a run takes.
    """
    nodes = []
    for i in range(number):
        above = [nodes[i - 10], nodes[10 * (i // 10 - 1)]] if i >= 10 else []
        parents = tuple(dict.fromkeys(node.key for node in above))
        key = digest('node', i, parents)
        spec = dict(number=i, folder=str(folder), seconds=seconds)
        nodes.append(Node(key, 'seed', dict(number=i), parents, spec))
    return Graph(nodes)


def add_up(node: Node, parents, place) -> dict:
    """One more than the sum of the parents; says that it begins and ends."""
    spec = node.spec
    mark = Path(spec['folder']) / f'{spec["number"]}-{os.getpid()}-{time.time_ns()}'
    mark.write_text('begun')
    if spec['number'] == spec.get('raises'):
        raise ValueError('a run that fails')
    time.sleep(spec['seconds'])
    value = 1 + sum(parents[key]['value'] for key in node.parents)
    (place.folder / 'value.json').write_text(json.dumps(value))
    mark.write_text('ended')
    return dict(value=value)


def expected(nodes: Graph) -> dict[str, int]:
    """What :func:`add_up` gives, without workers."""
    values: dict[str, int] = {}
    for node in nodes:
        values[node.key] = 1 + sum(values[key] for key in node.parents)
    return values
