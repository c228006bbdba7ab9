"""Workers finish every run once, whichever of them dies."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import experiment_files
import experiment_nodes
import pytest

from bissl_mm.experiments.commands import Session
from bissl_mm.experiments.queue import holder
from bissl_mm.experiments.queue.node import Graph, Node
from bissl_mm.experiments.queue.pool import run_graph
from bissl_mm.experiments.queue.store import Store
from bissl_mm.experiments.queue.worker import MAX_DEATHS, outlook, work
from bissl_mm.utils.errors import OSRefusal, ValueRefusal


def children() -> list[int]:
    return [p.pid for p in multiprocessing.active_children()]


def values(store: Store, graph: Graph) -> dict:
    return {node.key: store.result(node.key)['value'] for node in graph}


@pytest.fixture
def marks(tmp_path):
    folder = tmp_path / 'marks'
    folder.mkdir()
    return folder


def test_one_worker_makes_each_run_after_its_parents(tmp_path, marks):
    graph = experiment_nodes.graph(25, marks)
    store = Store(tmp_path / 'store')
    work(store, graph, experiment_nodes.add_up)
    assert values(store, graph) == experiment_nodes.expected(graph)
    assert len(list(marks.iterdir())) == 25
    # Finished runs are not repeated.
    work(Store(tmp_path / 'store'), graph, experiment_nodes.add_up)
    assert len(list(marks.iterdir())) == 25


def test_failed_run_keeps_its_reason_and_stops_only_what_needs_it(tmp_path, marks):
    graph = experiment_nodes.graph(22, marks)
    bad = list(graph)[3]
    bad.spec['raises'] = 3
    store = Store(tmp_path / 'store')
    work(store, graph, experiment_nodes.add_up)
    found = outlook(graph, store.state(graph))
    assert list(found.failed) == [bad.key]
    assert 'ValueError: a run that fails' in found.failed[bad.key]
    assert [node.spec['number'] for node in found.lost] == [13]
    assert len(store.done()) == 20
    # A later command tries again.
    del bad.spec['raises']
    attempts = {bad.key: 1}
    work(store, graph, experiment_nodes.add_up, attempts)
    assert values(store, graph) == experiment_nodes.expected(graph)


def hold_and_die(store: Store, node: Node) -> None:
    """Another process takes a run and is killed."""
    code = (
        'import os, signal, sys\n'
        'from bissl_mm.experiments.queue.store import Store\n'
        'from bissl_mm.experiments.queue.node import Node\n'
        'store, node = Store(sys.argv[1]), Node(sys.argv[2], "seed")\n'
        'assert store.claim(node, int(sys.argv[3]))\n'
        'os.kill(os.getpid(), signal.SIGKILL)\n'
    )
    attempt = store.state(Graph([node])).attempts.get(node.key)
    number = attempt.number if attempt else 0
    command = [sys.executable, '-c', code, str(store.folder), node.key, str(number)]
    assert subprocess.run(command).returncode == -signal.SIGKILL


def test_run_of_a_killed_process_is_taken_at_once(tmp_path):
    store, node = Store(tmp_path), Node('a', 'seed')
    graph = Graph([node])
    hold_and_die(store, node)
    assert outlook(graph, store.state(graph)).ready == [node]
    claim = store.claim(node, 1)
    assert claim.number == 2
    # While this process lives, nobody else gets it.
    assert Store(tmp_path).claim(node, 1) is None
    assert outlook(graph, store.state(graph)).running == [node]


def test_run_that_kills_its_processes_is_given_up(tmp_path, monkeypatch):
    store, node = Store(tmp_path), Node('a', 'seed')
    graph = Graph([node])
    # Processes of this machine that are dead.
    gone = dict(holder.this_process(), start='before')
    monkeypatch.setattr('bissl_mm.experiments.queue.store.this_process', lambda: gone)
    for number in range(MAX_DEATHS):
        assert outlook(graph, store.state(graph)).ready == [node]
        assert store.claim(node, number)
    assert 'memory ran out' in outlook(graph, store.state(graph)).failed['a']
    # Not held against it by the next command.
    assert outlook(graph, store.state(graph), {'a': MAX_DEATHS}).ready == [node]


def test_another_machine_is_alive_while_its_heart_beats(tmp_path, monkeypatch):
    store, node = Store(tmp_path), Node('a', 'seed')
    graph = Graph([node])
    elsewhere = dict(holder.this_process(), place='elsewhere')
    monkeypatch.setattr(
        'bissl_mm.experiments.queue.store.this_process', lambda: elsewhere
    )
    claim = store.claim(node)
    assert outlook(graph, store.state(graph)).running == [node]
    past = time.time() - holder.PATIENCE - 5
    os.utime(claim.path, (past, past))
    assert outlook(graph, store.state(graph)).ready == [node]
    store.beat(claim)
    assert outlook(graph, store.state(graph)).running == [node]


def test_child_holds_the_run_of_a_dead_process(tmp_path, monkeypatch):
    store, node = Store(tmp_path), Node('a', 'seed')
    graph = Graph([node])
    gone = dict(holder.this_process(), start='before')
    with monkeypatch.context() as patch:
        patch.setattr('bissl_mm.experiments.queue.store.this_process', lambda: gone)
        claim = store.claim(node)
    child = subprocess.Popen(['sleep', '60'])
    store.hold(claim, child.pid)
    assert outlook(graph, store.state(graph)).running == [node]
    child.kill()
    child.wait()
    assert outlook(graph, store.state(graph)).ready == [node]
    # It was started again.
    with subprocess.Popen(['sleep', '60']) as child:
        store.hold(claim, child.pid)
        assert outlook(graph, store.state(graph)).running == [node]
        child.kill()
    assert outlook(graph, store.state(graph)).ready == [node]


@pytest.mark.parametrize('content', [b'', b'{"val": 1', b'\xff\x00'])
def test_a_damaged_result_is_named_and_its_run_is_made_again(content, tmp_path, marks):
    graph = experiment_nodes.graph(1, marks)
    store = Store(tmp_path / 'store')
    work(store, graph, experiment_nodes.add_up)
    (path,) = (tmp_path / 'store/results').iterdir()
    path.write_bytes(content)
    with pytest.raises(ValueRefusal, match=f"{path.name}' is damaged.*Delete this"):
        store.result(path.stem)
    path.unlink()
    forgiven = {path.stem: 1}
    # A process of its own took it, as in another command.
    claim = tmp_path / f'store/claims/{path.stem}.1'
    claim.write_text(json.dumps(dict(json.loads(claim.read_text()), start='before')))
    work(store, graph, experiment_nodes.add_up, forgiven)
    assert values(store, graph) == experiment_nodes.expected(graph)


def test_first_result_stays(tmp_path, monkeypatch):
    """A process that was only thought dead comes late."""
    store, node = Store(tmp_path), Node('a', 'seed')
    first = store.claim(node)
    monkeypatch.setattr('bissl_mm.experiments.queue.store.is_alive', lambda *_: False)
    second = store.claim(node, 1)
    assert store.finish(second, dict(value=2))
    assert not store.finish(first, dict(value=1))
    assert store.result('a') == dict(value=2)
    # A result between the look at the claims and the claim is seen.
    assert store.claim(node, 2) is None


def test_interrupted_write_leaves_no_result(tmp_path, monkeypatch):
    store = Store(tmp_path)
    claim = store.claim(Node('a', 'seed'))

    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(json, 'dump', full)
    with pytest.raises(OSError):
        store.finish(claim, dict(value=1))
    assert store.result('a') is None and store.done() == set()
    assert not list((tmp_path / 'results').iterdir())


def test_storage_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSRefusal, match='--storage'):
        Store(tmp_path / 'file' / 'store')


def test_address_of_a_database_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueRefusal, match='Type a folder'):
        Store('sqlite:///study.db')
    with pytest.raises(ValueRefusal, match="'sqlite:///study.db' is the address"):
        Session(experiment_files.write(tmp_path), 'sqlite:///study.db')
    assert [path.name for path in tmp_path.iterdir()] == ['study.py']


@pytest.mark.whole
def test_hundred_runs_on_four_workers_of_which_twenty_are_killed(tmp_path, marks):
    graph = experiment_nodes.graph(100, marks, seconds=0.2)
    store = Store(tmp_path / 'store')
    drawn, killed = random.Random(0), []

    def kill() -> None:
        while len(killed) < 20:
            time.sleep(drawn.uniform(0.05, 0.2))
            ended = {m for m in marks.iterdir() if m.read_text() == 'ended'}
            # Those that hold a run, so that a kill costs one.
            busy = {m.name.split('-')[1] for m in marks.iterdir() if m not in ended}
            alive = [pid for pid in children() if str(pid) in busy]
            # Spread over the whole, however fast the machine is.
            if alive and len(ended) >= 4 * len(killed):
                killed.append(drawn.choice(alive))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    left = run_graph(store, graph, experiment_nodes.add_up, workers=4)
    thread.join()
    assert len(killed) == 20
    assert not (left.failed or left.lost or left.ready or left.running)
    assert values(store, graph) == experiment_nodes.expected(graph)
    ended = [
        tuple(map(int, mark.name.split('-')[:2]))
        for mark in marks.iterdir()
        if mark.read_text() == 'ended'
    ]
    assert {number for number, _ in ended} == {*range(100)}
    # Twice only where the worker was killed between the end of a run and its record.
    once = [number for number, pid in ended if pid not in killed]
    assert len(once) == len({*once})
    assert len(list(marks.iterdir())) <= 120


def test_a_link_whose_reply_was_lost_is_a_claim(tmp_path, monkeypatch):
    """As over NFS, which asks again and is told that the file exists."""
    link = os.link

    def lost(source, target):
        link(source, target)
        raise FileExistsError(target)

    store, node = Store(tmp_path), Node('a', 'seed')
    monkeypatch.setattr(os, 'link', lost)
    claim = store.claim(node, 0)
    assert claim is not None
    monkeypatch.undo()
    assert Store(tmp_path).claim(node, 0) is None
