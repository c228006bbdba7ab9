"""A worker: takes runs that are ready, one after the other, until none is left.

Imports no torch: a run's function does, when it is needed.
"""

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...utils.errors import refusal_in, refusal_text
from .holder import BEAT
from .node import Graph, Node
from .store import Claim, State, Store

#: How many processes a run may cost before it counts as failed.
MAX_DEATHS = 5
#: Seconds between two looks for a run that is ready.
SHORT, LONG = 0.05, 2.0


@dataclass
class Place:
    """Where a run works.

    Attributes:
        folder (Path): For its files. An earlier attempt may have left some.
        hold (Callable): Called with the number of a child process that goes on
            if this process dies. The run is then taken while it is alive.
    """

    folder: Path
    hold: Callable[[int], None]


#: Makes a run: gets the node, its parents' results by key and its place, and
#: returns the result as plain values.
Execute = Callable[[Node, Mapping[str, dict], Place], Mapping[str, Any]]


@dataclass
class Outlook:
    """The nodes of a graph that are not finished, by what becomes of them.

    Attributes:
        ready, running, waiting (list[Node]): Waiting are those whose parents
            are not finished.
        failed (dict[Node, str]): With the reason.
        lost (list[Node]): Those that need a failed one.
    """

    ready: list[Node] = field(default_factory=list)
    running: list[Node] = field(default_factory=list)
    waiting: list[Node] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[Node] = field(default_factory=list)


def outlook(
    graph: Graph, state: State, forgiven: Mapping[str, int] | None = None
) -> Outlook:
    """Sort the nodes that are not finished.

    Args:
        graph (Graph): All nodes.
        state (State): What the store knows.
        forgiven (dict, optional): By key, how many attempts were made before
            this command. They are not held against a run.
    """
    found, gone = Outlook(), set()
    for node in graph:
        if node.key in state.done:
            continue
        attempt = state.attempts.get(node.key)
        made = (attempt.number if attempt else 0) - (forgiven or {}).get(node.key, 0)
        if attempt is not None and attempt.alive:
            found.running.append(node)
        elif gone.intersection(node.parents):
            found.lost.append(node)
            gone.add(node.key)
        elif attempt is not None and attempt.failure and made > 0:
            found.failed[node.key] = attempt.failure
            gone.add(node.key)
        elif attempt is not None and made >= MAX_DEATHS:
            found.failed[node.key] = (
                f'{made} processes died in this run, the last one process '
                f'{attempt.holder["pid"]}; most likely memory ran out.'
            )
            gone.add(node.key)
        elif state.done.issuperset(node.parents):
            found.ready.append(node)
        else:
            found.waiting.append(node)
    return found


def work(
    store: Store,
    graph: Graph,
    execute: Execute,
    forgiven: Mapping[str, int] | None = None,
) -> None:
    """Execute the runs of a graph until all are finished or cannot be.

    Any number of processes may do so at once. A run belongs to the one that
    takes it. If that process dies, another one takes the run again.

    Args:
        store (Store): Opened by this process.
        graph (Graph): All runs.
        execute (Callable): See :data:`Execute`.
        forgiven (dict, optional): See :func:`outlook`.
    """
    pause = SHORT
    while True:
        state = store.state(graph)
        found = outlook(graph, state, forgiven)
        for node in found.ready:
            attempt = state.attempts.get(node.key)
            claim = store.claim(node, attempt.number if attempt else 0)
            if claim is not None:
                _do(store, claim, node, execute)
                pause = SHORT
                break
        else:
            if not found.running and not found.ready:
                return
            time.sleep(pause)
            pause = min(LONG, 1.5 * pause)


def _do(store: Store, claim: Claim, node: Node, execute: Execute) -> None:
    begin = time.time()
    with _beating(store, claim):
        try:
            found = {key: store.result(key) for key in node.parents}
            parents = {key: r for key, r in found.items() if r is not None}
            place = Place(
                store.run_folder(node.key), lambda pid: store.hold(claim, pid)
            )
            result = execute(node, parents, place)
            seconds = time.time() - begin
            store.finish(
                claim, dict(result, seconds=seconds, run=str(node), label=node.label)
            )
        except Exception as error:
            refusal = refusal_in(error)
            text = traceback.format_exc() if refusal is None else refusal_text(refusal)
            store.fail(claim, text)


@contextmanager
def _beating(store: Store, claim: Claim) -> Iterator[None]:
    """Inside, other machines see that this process is alive."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            store.beat(claim)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
