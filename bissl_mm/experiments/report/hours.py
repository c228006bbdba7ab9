"""Report of device hours by stage: Table 10 of the published paper."""

from collections.abc import Sequence
from typing import Any

from ...analysis.logs import run_time
from ..definition.experiment import Experiment
from ..queue.node import Graph, Node
from ..queue.store import Store
from .content import Content
from .published import published

#: Key of the published hours -> kinds of runs, and a name.
STAGES = dict(
    pretrain=(('pretrain',), 'pretraining'),
    stage=(('stage',), 'bilevel stage'),
    fine_tune=(('search', 'seed'), 'fine-tuning'),
)


def content_of_time(experiment: Experiment, graph: Graph, store: Store) -> Content:
    """Hours times devices of a run, by stage.

    Args:
        experiment (Experiment): Its published table.
        graph (Graph): All runs.
        store (Store): With the results and the logs.

    Source:
        C.1, arXiv:2410.02387.
    """
    numbers = published(experiment.report.get('published'))
    rows = [['', 'device hours of a run', 'runs', 'devices of a run', 'kind of device']]
    data, missing = {}, 0
    for key, (kinds, name) in STAGES.items():
        nodes = [node for node in graph if node.kind in kinds]
        found = [(node, _time(node, store)) for node in nodes]
        done = [(node, time) for node, time in found if time is not None]
        missing += len(nodes) - len(done)
        if not nodes:
            continue
        text = _range([time['device_hours'] for _, time in done]) or 'not finished'
        paper = (numbers.hours or {}).get(key)
        if paper is not None:
            text += f' [{_range(paper, "g")}]'
        rows.append(
            [
                name,
                text,
                str(len(done)),
                ', '.join(sorted({str(time['processes']) for _, time in done})),
                ', '.join(sorted({str(time['device']) for _, time in done})),
            ]
        )
        data[key] = [dict(run=str(node), **time) for node, time in done]
    return Content(
        'Hours of a run times its devices (C.1, arXiv:2410.02387), the lowest and the '
        'highest where there are several runs. Without a GPU a device is a process. '
        'Pretraining and bilevel stages: from the first to the last line of their logs, '
        'over all starts. Fine-tunings have no log; a worker measures them.',
        lists=[('device hours', rows), ('fine-tuning, by task', _tasks(graph, store))],
        missing=missing,
        unit='runs are not finished',
        data=dict(hours=data),
    )


def _time(node: Node, store: Store) -> dict[str, Any] | None:
    """None if the run is not finished."""
    result = store.result(node.key)
    if result is None:
        return None
    device = result.get('device', 'unknown')
    if node.kind in STAGES['fine_tune'][0]:
        hours = result['seconds'] / 3600
        return dict(device_hours=hours, processes=1, starts=1, device=device)
    # A worker knows the time of the last start alone.
    time = run_time(str(store.folder / 'runs' / node.key))
    return dict(
        device_hours=time.device_hours,
        processes=time.processes,
        starts=time.starts,
        device=device,
    )


def _range(values: Sequence[float], form: str = '.3g') -> str:
    if not values:
        return ''
    low, high = (f'{value:{form}}' for value in (min(values), max(values)))
    return low if low == high else f'{low} to {high}'


def _tasks(graph: Graph, store: Store) -> list[list[str]]:
    rows: dict[tuple, list[float]] = {}
    for node in graph:
        if node.kind in STAGES['fine_tune'][0]:
            time = _time(node, store)
            place = node.label.get('task', ''), node.label.get('arm', '')
            rows.setdefault(place, []).extend([time['device_hours']] if time else [])
    return [
        ['task', 'arm', 'device hours of a run', 'runs'],
        *(
            [task, arm, _range(hours) or 'not finished', str(len(hours))]
            for (task, arm), hours in rows.items()
        ),
    ]
