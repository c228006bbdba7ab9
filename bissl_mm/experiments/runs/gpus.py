"""Which GPUs a worker has, and how many processes a run gets on them."""

import torch

from ...analysis.runs.workers import visible_device
from ..queue.node import Graph


def devices_of(index: int, number: int) -> str:
    """The GPUs of one of several workers; one that others use, too, if there are
    fewer GPUs than workers.

    Args:
        index (int): Of the worker, from 0.
        number (int): Of workers.

    Returns:
        str: For ``CUDA_VISIBLE_DEVICES``; ``''`` without a GPU.
    """
    own = range(index, max(index + 1, torch.cuda.device_count()), number)
    return ','.join(visible_device(i) for i in own)


def processes_on(wanted: int) -> int:
    """As many processes as this worker has GPUs for, or fewer: a number that shares
    what ``wanted`` processes do. Without a GPU all of them.

    Args:
        wanted (int): Of the run, at least 1.
    """
    if not torch.cuda.is_available():
        return wanted
    most = torch.cuda.device_count()
    return max(n for n in range(1, wanted + 1) if n <= most and wanted % n == 0)


def notes_of_gpus(graph: Graph, number: int) -> list[str]:
    """A line if runs want more processes than a worker has GPUs.

    Args:
        graph (Graph): All runs.
        number (int): Of workers.

    Returns:
        list[str]: The line with what to type; empty if they have enough.
    """
    count = torch.cuda.device_count()
    wanted = max((node.spec.get('processes', 1) for node in graph), default=1)
    own = max(1, count // number)
    if not count or wanted <= own:
        return []
    fitting = max(1, count // wanted)
    advice = (
        f'Type --workers {fitting} to give each {count // fitting}.'
        if fitting < number
        else 'Each process takes more memory then.'
    )
    return [
        f'Runs want up to {wanted} processes, but each of the {number} workers has '
        f'{own} of {count} GPUs, so a process has more images of a batch than the '
        f'experiment says. {advice}'
    ]
