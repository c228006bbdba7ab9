"""Treat SIGTERM and Ctrl-C as requests to stop after a step."""

import os
import signal
import threading
from typing import Any

from mmengine.runner import Runner


class StopSignals:
    """Passes signals on to the loop of a runner.

    Python allows this only in the main thread. In another thread it does
    nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    @property
    def listening(self) -> bool:
        """Whether signals are passed on."""
        return bool(self._before)

    def listen(self, runner: Runner) -> None:
        """From now on, signals ask the loop to stop."""
        if threading.current_thread() is not threading.main_thread():
            return
        process = os.getpid()

        def handle(number, frame):
            if os.getpid() != process:
                # This is a forked process, for which the loop cannot answer.
                signal.signal(number, self._before[number])
                os.kill(os.getpid(), number)
                return
            # A launcher may repeat SIGTERM while the file is being written. A
            # second Ctrl-C ends the process at once.
            signal.signal(
                number,
                signal.SIG_IGN if number == signal.SIGTERM else self._before[number],
            )
            runner.logger.warning(
                f'{signal.Signals(number).name}: a checkpoint is written '
                'after this step, then the run ends.'
            )
            runner.train_loop.request_stop(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, handle)

    def ignore(self) -> None:
        """From now on, no signal interrupts."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def give_back(self) -> None:
        """Restore the earlier handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
