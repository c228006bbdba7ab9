"""Runs of several processes are started, and started again."""

import json
import os
from pathlib import Path

import pytest
import torch

from bissl_mm.experiments.queue.worker import Place
from bissl_mm.experiments.runs.launched import JOB, launch, number_of_processes
from bissl_mm.utils.errors import RuntimeRefusal

#: Saves, and is killed, until its folder says that it has had enough attempts.
DIES = """
import json, os, signal, sys
from pathlib import Path
folder = Path(sys.argv[1]).parent
job = json.loads(Path(sys.argv[1]).read_text())
attempts = folder / 'attempts'
number = len(attempts.read_text()) if attempts.exists() else 0
attempts.write_text((number + 1) * 'x')
if number < job['saves']:
    (folder / 'last_checkpoint').write_text(f'iter_{number}.pth')
if number < job['dies']:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    (tmp_path / 'dies.py').write_text(DIES)
    found = os.pathsep.join(filter(None, [str(tmp_path), os.getenv('PYTHONPATH')]))
    monkeypatch.setenv('PYTHONPATH', found)
    folder = tmp_path / 'run'
    folder.mkdir()
    return Place(folder, lambda pid: None)


def attempts(place: Place) -> int:
    return len((place.folder / 'attempts').read_text())


@pytest.mark.whole
def test_a_killed_process_that_has_saved_starts_again(place, capfd):
    launch('dies', dict(saves=2, dies=2, processes=1), place, 'stage')
    assert attempts(place) == 3
    assert 'start again' in capfd.readouterr().out


@pytest.mark.whole
def test_one_that_has_not_saved_anew_fails(place):
    with pytest.raises(RuntimeRefusal, match='1 processes ended with exit status'):
        launch('dies', dict(saves=1, dies=9, processes=1), place, 'stage')
    # The second attempt saved nothing.
    assert attempts(place) == 2


def begun(folder: Path, **job: int) -> Path:
    (folder / JOB).write_text(json.dumps(job))
    (folder / 'last_checkpoint').write_text('iter_3.pth')
    return folder


@pytest.mark.parametrize(
    'here, number',
    [
        pytest.param(4, 2, id='more GPUs'),
        pytest.param(2, 2, id='as many'),
        pytest.param(0, 2, id='none at all'),
    ],
)
def test_a_begun_run_keeps_its_processes(tmp_path, monkeypatch, here, number):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: here > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: here)
    assert number_of_processes(begun(tmp_path, processes=2), 4, 'stage') == number


def test_a_begun_pretraining_takes_the_gpus_that_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert number_of_processes(begun(tmp_path, processes=2), 2, 'pretrain') == 1


def test_a_begun_run_says_where_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(RuntimeRefusal, match='begun with 2 processes') as told:
        number_of_processes(begun(tmp_path, processes=2), 2, 'stage')
    assert 'where a worker has 2 GPUs' in str(told.value)


def test_jobs_without_a_number_and_runs_without_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    assert number_of_processes(begun(tmp_path), 4, 'stage') == 4
    (tmp_path / 'last_checkpoint').unlink()
    assert number_of_processes(begun(tmp_path, processes=2), 4, 'stage') == 2
    (tmp_path / 'last_checkpoint').unlink()
    assert number_of_processes(tmp_path, 4, 'stage') == 4
