"""GPUs of workers, on machines that are only pretended."""

import re

import pytest
import torch

from bissl_mm.experiments.queue.node import Graph, Node
from bissl_mm.experiments.runs.gpus import devices_of, notes_of_gpus, processes_on


@pytest.fixture
def gpus(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: count > 0)
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)

    return pretend


def graph(*processes):
    return Graph(
        [
            Node(str(i), 'stage', spec=dict(processes=number))
            for i, number in enumerate(processes)
        ]
    )


def test_workers_share_the_gpus(gpus):
    gpus(8)
    found = [devices_of(i, 3).split(',') for i in range(3)]
    assert [len(own) for own in found] == [3, 3, 2]
    assert sorted(sum(found, [])) == list('01234567')
    gpus(0)
    assert devices_of(0, 2) == devices_of(0, 1)


@pytest.mark.parametrize(
    'count, wanted, expected', [(0, 4, 4), (1, 4, 1), (3, 4, 2), (4, 4, 4), (8, 6, 6)]
)
def test_processes_divide_those_that_are_wanted(gpus, count, wanted, expected):
    gpus(count)
    assert processes_on(wanted) == expected


@pytest.mark.parametrize(
    'count, workers, expected',
    [
        (0, 2, None),
        (4, 1, None),
        (8, 2, None),
        (4, 4, 'has 1 of 4 GPUs.*Type --workers 1 to give each 4'),
        (8, 3, 'has 2 of 8 GPUs.*Type --workers 2 to give each 4'),
        (2, 1, 'has 2 of 2 GPUs.*more memory'),
    ],
)
def test_workers_with_too_few_gpus_are_told(gpus, count, workers, expected):
    gpus(count)
    notes = notes_of_gpus(graph(1, 4), workers)
    assert len(notes) == (expected is not None)
    assert expected is None or re.search(expected, notes[0])
