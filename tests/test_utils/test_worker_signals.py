"""A signal to the whole process group reaches the main process only."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from bissl_mm.utils import worker_signals

pytestmark = pytest.mark.skipif(
    not worker_signals.SUPPORTED, reason='needs sigtimedwait'
)

# Workers of a stream, of an evaluation's loader and of its pool; each prints
# its number.
PROGRAM = """
import multiprocessing, os, signal, sys, time
from functools import partial
from types import SimpleNamespace
import torch
from torch.utils.data import DataLoader, Dataset
from bissl_mm.datasets import LevelStream
from bissl_mm.engine.hooks.stop_signals import StopSignals
from bissl_mm.engine.loop.loader_shield import LoaderShieldHook

class Numbers(Dataset):
    metainfo = {}
    def __len__(self):
        return 8
    def __getitem__(self, index):
        time.sleep(.2)
        return os.getpid()

def pid(_):
    time.sleep(1)
    return os.getpid()

if __name__ == '__main__':
    loader = DataLoader(Numbers(), num_workers=1, persistent_workers=True)
    asked = []
    runner = SimpleNamespace(
        logger=SimpleNamespace(warning=print),
        val_loop=SimpleNamespace(dataloader=loader),
        train_loop=SimpleNamespace(request_stop=asked.append))
    shield = LoaderShieldHook()
    shield.before_train(runner)
    signals = StopSignals()
    signals.listen(runner)
    stream = LevelStream(dict(batch_size=2, num_workers=2, dataset=Numbers()),
                         'lower')
    stream.start(0)
    pids = set(torch.tensor(stream.next() + stream.next()).tolist())
    evaluation = iter(loader)
    pids.add(int(next(evaluation)))
    with multiprocessing.Pool(2) as pool:
        result = pool.map_async(pid, range(2), chunksize=1)
        time.sleep(.3)
        print(*pids, *(p.pid for p in multiprocessing.active_children()
                       if p.pid not in pids), flush=True)
        while not asked:
            time.sleep(.1)
        assert asked == [signal.SIGTERM], asked
        assert len(set(result.get(10))) == 2
        for _ in range(5):
            stream.next()
        assert len(list(evaluation)) == 7
        victim = torch.tensor(stream.next())[0].item()
        os.kill(victim, signal.SIGKILL)
        try:
            for _ in range(5):
                stream.next()
        except RuntimeError as error:
            print('error:', error, flush=True)
        time.sleep(60)
"""


def is_there(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != 'Z'


@pytest.mark.whole
def test_workers_outlive_a_signal_to_the_group_but_not_the_process(tmp_path):
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    process = subprocess.Popen(
        [sys.executable, program],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
    )
    with process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 5 and all(map(is_there, pids))
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.readline().startswith('SIGTERM')
        # The main process notices that the worker was killed.
        line = process.stdout.readline()
        assert line.startswith('error: DataLoader worker'), line + process.stdout.read()
        process.kill()
    deadline = time.time() + 15
    while any(map(is_there, pids)) and time.time() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if is_there(pid)]


def wait_shielded(ready):
    worker_signals.shield_worker(None, 0)
    ready.set()
    time.sleep(60)


@pytest.mark.parametrize(
    'method', ['fork', pytest.param('forkserver', marks=pytest.mark.whole)]
)
def test_the_owner_can_end_a_worker(method):
    context = multiprocessing.get_context(method)
    ready = context.Event()
    with worker_signals.held_sigterm():
        worker = context.Process(target=wait_shielded, args=(ready,))
        worker.start()
    assert ready.wait(60)
    # A signal from another process.
    subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
    worker.join(0.3)
    assert worker.is_alive()
    worker.terminate()
    worker.join(5)
    try:
        assert worker.exitcode == -signal.SIGTERM
    finally:
        worker.kill()
