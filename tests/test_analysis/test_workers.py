"""Runs in separate processes."""

import math
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch

from bissl_mm.analysis.runs import workers
from bissl_mm.analysis.runs.workers import InTurn, Workers
from bissl_mm.utils.errors import RuntimeRefusal, ValueRefusal

SCRIPT = """
import os, time
from bissl_mm.analysis.runs.workers import Workers
if __name__ == "__main__":
    with Workers(1) as pool:
        pool.submit('pid', os.getpid)
        print(pool.next()[1], flush=True)
        pool.submit('long', time.sleep, 600)
        pool.next()
"""


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.slow
def test_a_worker_has_one_thread_and_its_errors_have_a_name():
    before = os.environ.get('OMP_NUM_THREADS')
    with Workers(1) as pool:
        assert os.environ.get('OMP_NUM_THREADS') == before
        pool.submit('threads', torch.get_num_threads)
        pool.submit('variable', os.getenv, 'OMP_NUM_THREADS')
        pool.submit('pid', os.getpid)
        results = dict(pool.next() for _ in range(3))
        assert results['threads'] == 1 and results['variable'] == '1'
        assert results['pid'] != os.getpid()
        pool.submit('arm A, seed 7', math.sqrt, -1)
        with pytest.raises(ValueError, match='^arm A, seed 7: '):
            pool.next()
        pool.submit('arm B, seed 8', os._exit, 3)
        with pytest.raises(RuntimeRefusal, match='died.*arm B, seed 8'):
            pool.next()


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='/proc')
def test_workers_end_with_the_process_that_started_them(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT)
    parents = {
        number: subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # A shell starts background processes with Ctrl-C ignored.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'PYTHONPATH': os.pathsep.join(sys.path),
            },
        )
        for number in (signal.SIGKILL, signal.SIGINT)
    }
    pids = {
        number: [int(pid) for pid in parent.stdout.readline().split()]
        for number, parent in parents.items()
    }
    for number, parent in parents.items():
        assert pids[number] and all(map(is_alive, pids[number]))
        if number == signal.SIGINT:
            # Like Ctrl-C on a terminal, which the workers get, too.
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        assert parent.wait(30) != 0
    deadline = time.time() + 30
    everyone = sum(pids.values(), [])
    while any(map(is_alive, everyone)) and time.time() < deadline:
        time.sleep(0.2)
    assert not any(map(is_alive, everyone))


def test_in_turn_is_one_worker():
    threads = torch.get_num_threads()
    with InTurn() as pool:
        pool.submit('first', torch.get_num_threads)
        pool.submit('second', math.sqrt, -1)
        assert len(pool) == 2 and pool.next() == ('first', 1)
        with pytest.raises(ValueError, match='^second: '):
            pool.next()
        assert len(pool) == 0
    assert torch.get_num_threads() == threads


def test_no_worker_is_refused():
    with pytest.raises(ValueRefusal, match='--workers 0'):
        Workers(0)


def test_workers_take_the_visible_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert [workers.visible_device(i) for i in range(3)] == ['0', '1', '0']
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5, GPU-7')
    assert [workers.visible_device(i) for i in range(3)] == ['5', 'GPU-7', '5']
    assert workers.default_number() == 2
