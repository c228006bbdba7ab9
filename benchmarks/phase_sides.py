"""Who takes part in a race of upper phases, and how memory is measured."""

import copy
import ctypes
import gc
import os
import platform
import time
from collections import defaultdict
from contextlib import ExitStack

import torch
from digits_task import DAMPING, REG_WEIGHT, DigitsTask, wrapper_of
from published_phase import PublishedPhase

from bissl_mm.hypergradient.second_order import lean
from bissl_mm.utils.replaced import replaced

NUM_ITERS = 5


class Memory:
    """Peak of the resident (or the device's) memory."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        gc.collect()
        if platform.libc_ver()[0] == 'glibc':
            # What was freed before is nobody's peak.
            ctypes.CDLL(None).malloc_trim(0)
        if self.device != 'cpu':
            torch.cuda.reset_peak_memory_stats()
            return
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')

    def peak(self) -> int:
        return (
            torch.cuda.max_memory_allocated()
            if self.device != 'cpu'
            else self._status('VmHWM')
        )

    @staticmethod
    def _status(key: str) -> int:
        with open('/proc/self/status') as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        raise OSError(f'/proc/self/status has no {key}')


class Side:
    """One who does the phase, with a model of their own.

    Attributes:
        seconds (float): Time of the phase so far.
        pairs (list): ``(v, v_IJ)`` of every step, if asked to keep them.
    """

    def __init__(self, task: DigitsTask, keep: bool = False) -> None:
        self.task = task
        self.model = copy.deepcopy(task.model)
        self.keep = keep
        self.pairs = []

    def begin(self) -> None:
        """All that a phase needs before its first step."""
        self.model.load_state_dict(self.task.state)
        self.seconds, self.pairs = 0.0, []
        self._timed(self._begin)

    def step(self, batch: dict) -> None:
        self._timed(lambda: self._step(batch))

    def end(self) -> None:
        """Not timed."""

    def _timed(self, work) -> None:
        begin = time.perf_counter()
        work()
        synchronize(self.task.args.device)
        self.seconds += time.perf_counter() - begin


class Baseline(Side):
    def _begin(self) -> None:
        optimizer = torch.optim.SGD(
            [p for p in self.model.downstream.parameters() if p.requires_grad],
            lr=1e-3,
            momentum=0.9,
        )
        self.phase = PublishedPhase(
            self.model,
            self.task.hessian_batch,
            optimizer,
            REG_WEIGHT,
            DAMPING,
            NUM_ITERS,
        )

    def _step(self, batch: dict) -> None:
        self.phase.step(batch)
        if self.keep:
            self.pairs += self.phase.solutions
        del self.phase.solutions[:]


class Variant(Side):
    """Keeps its optim wrapper from phase to phase, as a run does.

    Attributes:
        parts (dict): Seconds of the solves and of the graph.
        logs (list[dict]): What every step said.
        products (int): Of the phase.
    """

    def __init__(self, task: DigitsTask, settings: dict, keep: bool = False) -> None:
        super().__init__(task, keep)
        settings = dict(settings)
        # A layer of second_order/lean.py that is left to torch.
        self.without = settings.pop('without', None)
        self.wrapper = wrapper_of(self.model, check_residual='never', **settings)
        system = self.wrapper.system
        solve = system.solve

        def timed_solve(v):
            synchronize(task.args.device)
            begin = time.perf_counter()
            solution = solve(v)
            synchronize(task.args.device)
            self.parts['solve'] += time.perf_counter() - begin
            if self.keep:
                self.pairs.append((v, solution.value))
            return solution

        system.solve = timed_solve

    def begin(self) -> None:
        self.parts, self.logs = defaultdict(float), []
        # The baseline's optimizer is a new one each time.
        self.wrapper['upper'].optimizer.state.clear()
        super().begin()
        self.parts['graph'] = self.seconds

    def _begin(self) -> None:
        with ExitStack() as stack:
            if self.without is not None:
                stack.enter_context(replaced(lean, self.without, lambda *_, **__: None))
            self.wrapper.begin_upper_phase(
                self.model, [self.task.hessian_batch], seed=0
            )

    def _step(self, batch: dict) -> None:
        self.logs.append(self.wrapper.upper_step(self.model, batch, seed=0))

    def end(self) -> None:
        self.products = self.wrapper.system.curvature_operator.num_products
        self.wrapper.end_upper_phase()

    @property
    def shares(self) -> dict:
        parts = dict(self.parts)
        parts['first order'] = self.seconds - sum(parts.values())
        return {k: round(s / self.seconds, 3) for k, s in parts.items()}


def record_of_run(records: list, args) -> dict:
    """The records of a script with what they belong to."""
    return dict(
        records=records,
        arguments=vars(args),
        threads=torch.get_num_threads(),
        cores=os.cpu_count(),
        machine=torch.cuda.get_device_name()
        if getattr(args, 'device', 'cpu') != 'cpu'
        else platform.processor() or platform.machine(),
        torch=torch.__version__,
    )


def synchronize(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()
