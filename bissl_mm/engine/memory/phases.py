"""Peaks of memory in the phases of an alternation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from ...hypergradient import Curvature, Operator, Vectors
from ...hypergradient.linalg.vectors import zeros_like
from ...hypergradient.unrolled import UnrolledSteps
from ...models.bissl_model import BiSSLModel
from ..loop.head_warmup import frozen_backbone
from ..steps.optim_wrapper import BiSSLOptimWrapper
from .live_tensors import LiveTensors

#: Steps of an upper phase after which no solver keeps more.
_MAX_STEPS = 8

#: Returns a new collated batch.
Batches = Callable[[], Any]


class Peaks(NamedTuple):
    """Bytes of the tensors of one process that live at the same time.

    Attributes:
        at_rest (int): Weights and states of the optimizers, between steps.
        head_warmup (int, optional): In a step of the head warm-up; None
            without one.
        lower (int): In a lower step.
        begin (int): At the begin of an upper phase.
        graph (int): What an upper phase keeps for its products, beside
            ``at_rest``.
        gradients (int): In the gradients of an upper step.
        product (int): In a product of the Hessian; 0 if the solver needs none. With
            unrolled steps, in the product with their derivative.
        rebuilt (int): In a product whose graph is built anew; 0 like ``product``.
        validation (int, optional): In a batch of validation; None if not known.
    """

    at_rest: int
    head_warmup: int | None
    lower: int
    begin: int
    graph: int
    gradients: int
    product: int
    rebuilt: int
    validation: int | None

    @property
    def largest(self) -> int:
        """The largest of all phases with the settings as they are."""
        return max(
            self.head_warmup or 0,
            self.lower,
            self.begin,
            self.gradients,
            self.product,
            self.validation or 0,
        )


class Alternation:
    """Runs the steps of one alternation and notes their peaks.

    Args:
        memory (LiveTensors): Entered.
        model (BiSSLModel): Its tensors are counted.
        wrapper (BiSSLOptimWrapper): Of the model.
        lower (Callable): Makes pretext batches.
        upper (Callable): Makes downstream batches.
    """

    def __init__(
        self,
        memory: LiveTensors,
        model: BiSSLModel,
        wrapper: BiSSLOptimWrapper,
        lower: Batches,
        upper: Batches,
    ) -> None:
        self.memory, self.model, self.wrapper = memory, model, wrapper
        self.lower, self.upper = lower, upper

    def head_warmup(self, mode: str) -> int:
        """The peak of a step of the head warm-up; the second one has the
        state of the optimizer."""
        with frozen_backbone(self.model, mode):
            return self._last_of(
                2, lambda: self.wrapper.head_warmup_step(self.model, self.upper(), 0)
            )

    def lower_phase(self, num_steps: int) -> int:
        """The peak of a lower step.

        The second step has the state of the optimizer. K unrolled steps are kept,
        and beside them the next one for a moment.

        Args:
            num_steps (int): Lower steps of an alternation.
        """
        self.model.train()
        return self._last_of(
            max(2, min(self._num_unrolled + 1, num_steps)),
            lambda: self.wrapper.lower_step(self.model, self.lower(), 0),
        )

    def upper_phase(self, num_steps: int) -> dict[str, int]:
        """The peaks of an upper phase by the names of :class:`Peaks`.

        Gradients and products of different steps are alike. So each is computed
        once. In the other steps only what lives before it is noted, which grows
        with the vectors that a solver keeps. Unrolled steps need
        :meth:`lower_phase` before.
        """
        memory = self.memory
        at_rest = memory.restart()
        self._begin()
        found = dict(begin=memory.peak, graph=memory.now - at_rest)
        product, gradients = _Part(memory), _Part(memory)
        first_order = self.wrapper.first_order
        memory.restart()
        with (
            product.of(UnrolledSteps if self._num_unrolled else Curvature, '__call__'),
            gradients.of(first_order, 'upper_gradient'),
        ):
            for i in range(min(max(num_steps, 2), _MAX_STEPS)):
                before = product.before, gradients.before
                self.wrapper.upper_step(self.model, self.upper(), 0)
                if i and before == (product.before, gradients.before):
                    # From here on nothing grows.
                    break
        # A graph that is built at the first product is kept from then on.
        found['graph'] += product.kept if self.wrapper.system.config.keep_graph else 0
        # What is left is the arithmetic of the solver and of the optimizer.
        rest, before_end = memory.peak, memory.now
        self.wrapper.end_upper_phase()
        found['gradients'] = gradients.peak if product.before else rest
        found['product'] = max(product.peak, rest) if product.before else 0
        # By now the optimizer has its state.
        held = found['graph']
        if self._num_unrolled:
            # The steps are copies of the model. They end with the graphs.
            held = before_end - memory.now
        vectors = max(product.before - memory.now - held, 0)
        found['rebuilt'] = self._rebuilt(vectors) if product.before else 0
        return found

    def _rebuilt(self, vectors: int) -> int:
        """The peak of a product without a kept graph, beside the bytes of
        ``vectors``, to which the vector that is multiplied belongs."""
        system, memory = self.wrapper.system, self.memory
        as_set = system.config
        system.config = replace(as_set, keep_graph=False)
        try:
            if self._num_unrolled:
                # The end of a phase forgets the steps.
                self.lower_phase(self._num_unrolled)
            self._begin()
            without = memory.now
            operator, unknowns = self._multiplied()
            vector = zeros_like(unknowns)
            before = memory.restart()
            operator(vector)
            return without + vectors + memory.peak - before
        finally:
            self.wrapper.end_upper_phase()
            system.config = as_set

    def _multiplied(self) -> tuple[Operator, Vectors]:
        """What multiplies in a product, and its unknowns."""
        system: Any = self.wrapper.system
        if self._num_unrolled:
            levels = self.model.levels
            return system.bound.operator, (*levels.theta_p, *levels.phi_p)
        return system.curvature_operator, system.curvature_operator.params

    @property
    def _num_unrolled(self) -> int:
        return self.wrapper.system.config.unrolled_steps

    def _begin(self) -> None:
        number = self.wrapper.system.config.num_batches
        batches = [self.lower() for _ in range(number)]
        self.wrapper.begin_upper_phase(self.model, batches, 0)

    def _last_of(self, number: int, step: Callable[[], Any]) -> int:
        """The peak of the last of so many steps. The first one makes the
        optimizer's state."""
        for _ in range(number - 1):
            step()
        self.memory.restart()
        step()
        return self.memory.peak


class _Part:
    """The peak of a part of a step that is computed once.

    Attributes:
        before (int): The most bytes that lived before it; 0 if it never ran.
        peak (int): The most bytes that lived in it.
        kept (int): Bytes that it left behind, beside its result.
    """

    def __init__(self, memory: LiveTensors) -> None:
        self.memory = memory
        self.before = self.peak = self.kept = self._above = 0
        self._result: tuple[list[Any], Any] | None = None

    @contextmanager
    def of(self, owner: Any, name: str) -> Iterator[None]:
        """Inside, calls of a method after the first give tensors of the same
        shapes."""
        compute = getattr(owner, name)

        def part(*args: Any, **kwargs: Any) -> Any:
            before = self.memory.now
            self.before = max(self.before, before)
            if self._result is None:
                result = self._first(compute, args, kwargs)
                self.peak = before + self._above
                return result
            # What the first call left behind lives before this one.
            self.peak = max(self.peak, before + self._above - self.kept)
            leaves, form = self._result
            return tree_unflatten(
                [torch.empty(shape, dtype=dtype) for shape, dtype in leaves], form
            )

        with mock.patch.object(owner, name, part):
            yield

    def _first(self, compute: Callable, args: tuple, kwargs: dict) -> Any:
        memory = self.memory
        outer, before = memory.peak, memory.restart()
        result = compute(*args, **kwargs)
        self._above = memory.peak - before
        # Of the step without this part.
        memory.peak = max(outer, memory.now)
        leaves, form = tree_flatten(result)
        size = sum(leaf.numel() * leaf.element_size() for leaf in leaves)
        self.kept = max(memory.now - before - size, 0)
        self._result = [(leaf.shape, leaf.dtype) for leaf in leaves], form
        return result
