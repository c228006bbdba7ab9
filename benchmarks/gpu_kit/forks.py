"""Work in processes of their own, which cannot take the others with them."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import wait

#: Gets the rows that a part says.
Say = Callable[[dict], None]


class Fork:
    """A process that does ``work(say)``, for some seconds at most.

    Attributes:
        state (dict, optional): How it ended: ``status`` is done, failed or cut.
        seconds (float): How long it took.
    """

    def __init__(self, work: Callable[[Say], None], limit: float, say: Say) -> None:
        context = multiprocessing.get_context('fork')
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_child, args=(theirs, work))
        sys.stdout.flush()
        self.begin = time.monotonic()
        self.limit, self.say = limit, say
        self.state: dict | None = None
        self.process.start()
        theirs.close()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    def read(self) -> None:
        """What it has said."""
        try:
            kind, what = self.pipe.recv()
        except EOFError:
            self.process.join(10)
            what = f'the process ended with {self.process.exitcode}'
            self.end(dict(status='failed', traceback=what))
            return
        if kind == 'end':
            self.end(what)
        else:
            self.say(what)

    def end(self, state: dict) -> None:
        self.state = state | dict(seconds=self.seconds)
        # With what it started: tests would go on using the card.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _child(pipe, work: Callable[[Say], None]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    try:
        work(lambda row: pipe.send(('row', row)))
        pipe.send(('end', dict(status='done')))
    except BaseException:
        pipe.send(('end', dict(status='failed', traceback=traceback.format_exc())))
    finally:
        sys.stdout.flush()
        # Without a look back: a broken CUDA context may hang in its destructors.
        os._exit(0)


def run_forked(
    works: Mapping[str, tuple[Callable[[Say], None], float, Say]],
    ended: Callable[[str, dict], None] = lambda name, state: None,
) -> dict[str, dict]:
    """Forks for all works at the same time; how each of them ended.

    Args:
        works (dict): Name -> the work, its limit in seconds, who gets its rows.
        ended (Callable): Gets the name and the state of each at its end.
    """
    running = {name: Fork(*work) for name, work in works.items()}
    states: dict[str, dict] = {}
    try:
        _follow(running, states, ended)
    finally:
        for fork in running.values():
            fork.end(dict(status='cut'))
    return states


def _follow(running: dict[str, Fork], states: dict[str, dict], ended: Callable) -> None:
    while running:
        left = min(fork.limit - fork.seconds for fork in running.values())
        ready = wait([fork.pipe for fork in running.values()], max(left, 0))
        for name, fork in list(running.items()):
            if fork.pipe in ready:
                fork.read()
            elif fork.seconds >= fork.limit:
                fork.end(dict(status='cut'))
            if fork.state is not None:
                states[name] = running.pop(name).state
                ended(name, states[name])
