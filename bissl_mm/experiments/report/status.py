"""Lines for ``plan`` and ``status``."""

from collections import Counter
from collections.abc import Iterator

from ..definition.experiment import Experiment
from ..queue.node import KINDS, Graph, Node
from ..queue.store import State, Store
from ..queue.worker import Outlook, outlook
from ..runs.hours import Hours, group_of

_NAMES = dict(
    pretrain='pretraining',
    stage='bilevel stage',
    search='fine-tuning, search',
    seed='fine-tuning, seeds',
    features='features of backbones',
)


def plan_lines(
    experiment: Experiment, graph: Graph, store: Store | None, hours: Hours
) -> Iterator[str]:
    """The graph: a line for each group of runs, in the order of execution.

    Args:
        experiment (Experiment): Its title.
        graph (Graph): All runs.
        store (Store, optional): None if nothing has been run.
        hours (Hours): Of its runs.
    """
    yield f'{experiment.name}: {experiment.title}'
    state = State() if store is None else store.state(graph)
    groups: dict[tuple, list[Node]] = {}
    for node in graph:
        groups.setdefault((KINDS.index(node.kind), *group_of(node)), []).append(node)
    for nodes in groups.values():
        done = sum(node.key in state.done for node in nodes)
        first = nodes[0]
        needs = Counter(
            graph[key].kind
            for key in first.parents
            if first.kind != 'seed' or graph[key].kind == 'search'
        )
        after = ', after ' + ' and '.join(
            f'{n} {_NAMES[kind]}' if n > 1 else _NAMES[kind]
            for kind, n in needs.items()
        )
        one = hours.of(first)
        time = 'hours unknown' if one is None else f'{one * len(nodes):.2f} hours'
        yield (
            f'  {_NAMES[first.kind]}: {_place(first)}: {len(nodes)} runs, {done} '
            f'done, {time}' + (after if needs else '')
        )
    yield from _total_lines(experiment, graph, hours, len(state.done))


def _total_lines(
    experiment: Experiment, graph: Graph, hours: Hours, done: int
) -> Iterator[str]:
    left, unknown = hours.left()
    spent = ', '.join(f'{n:.2f} hours on {d}' for d, n in hours.devices.items())
    yield f'{len(graph)} runs, {done} done' + (f' ({spent}).' if spent else '.')
    if unknown:
        kinds = ', '.join(f'{n} {_NAMES[kind]}' for kind, n in unknown.items())
        yield (
            f'Left: {left:.2f} hours and {kinds}, whose time is known once one of '
            'them is finished, or with --time, from a few steps on this machine.'
        )
    else:
        yield f'Left: {left:.2f} hours of runs, on the devices that made them so far.'
    if experiment.hours:
        yield f'The paper: {experiment.hours}'


def status_lines(graph: Graph, store: Store) -> Iterator[str]:
    """Progress by kind of run, what runs now, and failures."""
    state = store.state(graph)
    found = outlook(graph, state)
    numbers = Counter(node.kind for node in graph)
    done = Counter(graph[key].kind for key in state.done)
    for kind in KINDS:
        if numbers[kind]:
            yield f'{_NAMES[kind]}: {done[kind]} of {numbers[kind]} done'
    for node in found.running:
        holder = state.attempts[node.key].holder
        machine = holder['place'].partition('|')[0]
        yield f'running on {machine}, process {holder["pid"]}: {node}'
    yield from failure_lines(graph, store, found)


def failure_lines(graph: Graph, store: Store, found: Outlook) -> Iterator[str]:
    """Each failed run with the reason's last line and its log."""
    for key, text in found.failed.items():
        last = text.strip().splitlines()[-1] if text.strip() else 'no message'
        yield f'failed: {graph[key]}: {last}'
        yield f'  {store.folder / "runs" / key / "output.txt"}'
    if found.lost:
        yield f'{len(found.lost)} runs need a failed one.'


def _place(node: Node) -> str:
    shown = {
        k: v
        for k, v in node.label.items()
        if k not in ('lr', 'weight_decay', 'seed', 'stage') and v not in (None, '')
    }
    return (
        ', '.join(
            f'{k} {v}' if k not in ('setting', 'task', 'arm') else str(v)
            for k, v in shown.items()
        )
        or 'all'
    )
