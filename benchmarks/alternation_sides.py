"""Who takes part in a race of whole alternations."""

import copy
import tempfile
import time
from pathlib import Path

import torch
from digits_task import DAMPING, REG_WEIGHT, DigitsTask, wrapper_of
from phase_sides import NUM_ITERS, Memory, synchronize
from published_phase import PublishedPhase

from bissl_mm.utils.random import seeded

#: Of the paper, as in B.3: lower and upper steps of an alternation.
PAPER = (20, 8)
#: Learning rate of both levels but for the lower one of MAE.
LR = 1e-3


class Kept:
    """Pairs of vectors in files, so that they are nobody's memory."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.number = 0

    def add(self, v, solution) -> None:
        torch.save((v, solution), self._path(self.number))
        self.number += 1

    def __getitem__(self, i: int) -> tuple:
        if i >= self.number:
            raise IndexError(i)
        return torch.load(self._path(i), weights_only=True)

    def _path(self, i: int) -> Path:
        return Path(self._folder.name, f'{i}.pth')


class Side:
    """One who does the alternation, with a model of their own.

    Attributes:
        num_lower (int): Lower steps.
        num_upper (int): Upper steps.
        seconds (dict): Of both phases so far.
        peaks (dict): The peak of memory in both phases, if asked for.
        kept (Kept, optional): ``(v, v_IJ)`` of every upper step, if asked for.
    """

    products = 0

    def __init__(
        self, task: DigitsTask, structure: tuple = PAPER, check: bool = False
    ) -> None:
        self.task = task
        self.num_lower, self.num_upper = structure
        self.model = copy.deepcopy(task.model)
        self.check = check
        self.memory = Memory(task.args.device)
        self.begin()

    def begin(self) -> None:
        """Back to the weights that all begin with."""
        self.model.load_state_dict(self.task.state)
        self.seconds = dict(lower=0.0, upper=0.0)
        self.peaks: dict = {}
        self.kept = Kept() if self.check else None
        self._reset()

    def lower_step(self, batch: dict, seed: int) -> None:
        if not self.seconds['lower'] and self.check:
            self.memory.start()
        self._timed('lower', lambda: self._lower_step(batch, seed))

    def begin_upper(self) -> None:
        """All that an upper phase needs before its first step."""
        if self.check:
            self.peaks['lower'] = self.memory.peak()
            self.memory.start()
        self._timed('upper', self._begin_upper)

    def upper_step(self, batch: dict) -> None:
        self._timed('upper', lambda: self._upper_step(batch))

    def end(self) -> None:
        if self.check:
            self.peaks['upper'] = self.memory.peak()
        self._timed('upper', self._end)

    def _begin_upper(self) -> None:
        """Nothing to do."""

    _end = _begin_upper

    def _timed(self, phase: str, work) -> None:
        synchronize(self.task.args.device)
        begin = time.perf_counter()
        work()
        synchronize(self.task.args.device)
        self.seconds[phase] += time.perf_counter() - begin

    def _sgd(self, part: torch.nn.Module, lr: float = LR) -> torch.optim.SGD:
        params = [p for p in part.parameters() if p.requires_grad]
        return torch.optim.SGD(params, lr=lr, momentum=0.9)

    @property
    def lower_lr(self) -> float:
        return 1e-4 if self.task.is_mae else LR


class FirstOrder(Side):
    """The same numbers of steps, each with one gradient: of the pretext loss,
    then of the downstream loss. No term ties the backbones."""

    tie = 0.0

    def _reset(self) -> None:
        self.lower = self._sgd(self.model.pretext, self.lower_lr)
        self.upper = self._sgd(self.model.downstream)

    def _lower_step(self, batch: dict, seed: int) -> None:
        with seeded(seed, torch.device(self.task.args.device)):
            loss = self._loss(self.model.pretext, batch)
        if self.tie:
            loss = loss + 0.5 * self.tie * sum(
                (p - d.detach()).square().sum()
                for p, d in zip(
                    self.model.lower_backbone(), self.model.upper_backbone()
                )
            )
        self._descend(loss, self.lower)

    def _upper_step(self, batch: dict) -> None:
        self._descend(self._loss(self.model.downstream, batch), self.upper)

    @staticmethod
    def _loss(model, batch: dict) -> torch.Tensor:
        return model.parse_losses(model(**batch, mode='loss'))[0]

    @staticmethod
    def _descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss.backward()
        (group,) = optimizer.param_groups
        torch.nn.utils.clip_grad_norm_(group['params'], 10.0)
        optimizer.step()


class Published(FirstOrder):
    """Algorithms 1 and 2 as written, nothing shared."""

    tie = REG_WEIGHT

    def _begin_upper(self) -> None:
        self.lower.zero_grad()
        self.phase = PublishedPhase(
            self.model,
            self.task.hessian_batch,
            self.upper,
            REG_WEIGHT,
            DAMPING,
            NUM_ITERS,
        )

    def _upper_step(self, batch: dict) -> None:
        self.phase.step(batch)
        ((v, solution),) = self.phase.solutions
        del self.phase.solutions[:]
        if self.check:
            self.kept.add(v, solution)

    def _end(self) -> None:
        self.products = self.phase.num_products
        del self.phase


class Package(Side):
    """This package with some settings of the hypergradient. It keeps its
    optim wrapper from one alternation to the next, as a run does."""

    def __init__(self, task: DigitsTask, settings: dict, *args, **kwargs) -> None:
        self.settings = settings
        super().__init__(task, *args, **kwargs)

    def _reset(self) -> None:
        if not hasattr(self, 'wrapper'):
            self.wrapper = wrapper_of(self.model, **self.settings)
            for group in self.wrapper['lower'].optimizer.param_groups:
                group['lr'] = self.lower_lr
            if self.check:
                self._keep_solutions()
        for level in ('lower', 'upper'):
            self.wrapper[level].optimizer.state.clear()

    def _keep_solutions(self) -> None:
        system = self.wrapper.system
        solve = system.solve

        def solve_and_keep(v):
            solution = solve(v)
            self.kept.add(v, solution.value)
            return solution

        system.solve = solve_and_keep

    def _lower_step(self, batch: dict, seed: int) -> None:
        self.wrapper.lower_step(self.model, batch, seed=seed)

    def _begin_upper(self) -> None:
        self.wrapper.begin_upper_phase(
            self.model,
            [self.task.hessian_batch],
            seed=0,
            checked_step=self.num_upper // 2,
        )

    def _upper_step(self, batch: dict) -> None:
        self.wrapper.upper_step(self.model, batch, seed=0)

    def _end(self) -> None:
        self.products = self.wrapper.system.curvature_operator.num_products
        self.wrapper.end_upper_phase()
