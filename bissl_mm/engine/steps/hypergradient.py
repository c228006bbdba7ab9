"""The linear system that is solved in every step of an upper phase."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from ...hypergradient import (
    BlockDiagonal,
    BoundSolver,
    Curvature,
    Domain,
    HeadBlock,
    Identity,
    Operator,
    Solution,
    Status,
    Vectors,
    WithHead,
    implicit_jacobian_product,
    implicit_operator,
)
from ...hypergradient.linalg.basis import flatten, unflatten
from ...hypergradient.linalg.vectors import scalars_agreed
from ...hypergradient.regularizers.base import Regularizer
from ...models.bissl_model import BiSSLModel, Levels
from ...registry import build_solver
from ..checks.batch_report import NotFinite
from ..checks.out_of_memory import in_memory_phase
from ..distributed import from_first_rank
from .curvatures import curvature_maker, losses_of
from .gradients import FirstOrder, Gradients
from .lone_images import zero_hessian_text
from .params import select
from .settings import HypergradientSettings
from .solver_state import SolverState
from .system_checks import check_system, check_unknowns


class Hypergradient(NamedTuple):
    r"""What an upper step computes before it changes a parameter.

    ``logs`` are tensors of one number. ``gradients`` are by names of the
    downstream model. ``v``, and the ``solution`` with :math:`v_{IJ}`, are None
    without the indirect term.
    """

    logs: dict[str, Tensor]
    gradients: Gradients
    v: Vectors | None
    solution: Solution | None


class ImplicitSystem:
    r""":math:`[I + H/(\lambda + \delta)] \, v_{IJ} = v` and its solver.

    A bound solver exists between :meth:`begin` and :meth:`end`, in one upper phase.

    Args:
        regularizer (Regularizer): The regularizer of the lower level.
        settings (HypergradientSettings): The settings of the system.

    Raises:
        ValueError: See :func:`check_system`.

    Attributes:
        solver (Solver): The settings of the solver.
        bound (BoundSolver, optional): Of this phase's operator; None outside of one.
        domain (Domain, optional): The unknowns of this phase's system.
    """

    def __init__(
        self, regularizer: Regularizer, settings: HypergradientSettings
    ) -> None:
        self.regularizer = regularizer
        self.config = settings
        self.solver = build_solver(settings.solver)
        check_system(settings, self.solver, regularizer)
        self.bound: BoundSolver | None = None
        self._state = SolverState()
        self.domain: Domain | None = None
        self._steps = self._checked_step = 0
        # The preprocessed batches, which the operator's closures hold as well.
        self._parts: list[dict] = []
        self._cross: Callable[[Vectors], Vectors] | None = None
        # Both belong to the operator that the solver is bound to.
        self._metric: Callable[[], Operator] = Identity
        self._curvature_at_upper: Callable[[], Curvature] | None = None
        self._head_block: HeadBlock | None = None
        self._weight = regularizer.weight

    @property
    def curvature_operator(self) -> Curvature | None:
        """The curvature in this phase's operator; None outside of a phase."""
        return None if self.bound is None else self.bound.operator.second.operator

    def check(self, model: BiSSLModel) -> None:
        """Refuse what cannot work with a model, see :func:`check_unknowns`."""
        check_unknowns(self.config, self.solver, self.regularizer, model)

    def before_lower_gradient(self, model: BiSSLModel) -> None:
        """Called before each lower loss; :class:`UnrolledSystem` keeps some."""

    def before_lower_step(self, *args: object) -> None:
        """Called before each lower step; :class:`UnrolledSystem` keeps some."""

    @in_memory_phase('begin')
    def begin(
        self,
        model: BiSSLModel,
        batches: Sequence[dict],
        seed: int,
        first_order: FirstOrder,
        done_steps: int = 0,
        checked_step: int = 0,
    ) -> None:
        r"""Build the operator of one upper phase.

        Args:
            model (BiSSLModel): In training mode; not changed. Until :meth:`end`
                :math:`\theta_P` and :math:`\phi_P` must not change either.
            batches (Sequence[dict]): Pretext batches of this rank for the
                Hessian; one in the published algorithm.
            seed (int): Seed of the random draws of the pretext loss on this
                rank. All products have the same draws.
            first_order (FirstOrder): Cuts and preprocesses the batches.
            done_steps (int): Steps of this phase that an interrupted run has
                taken already. Defaults to 0.
            checked_step (int): The step that ``check_residual='random'`` checks.
                Defaults to 0.
        """
        losses = losses_of(model, batches, seed, first_order, self.config)
        self._parts = losses.parts
        levels = model.levels
        through = select(model.pretext, levels.lower_names, self.config.params)
        head = levels.phi_p if self.config.pretext_head else ()
        self.domain = (
            WithHead(through, head, self.config.head_weight)
            if head
            else Domain(through)
        )
        lower, upper = map(self.domain.leaves, (levels.theta_p, levels.theta_d))
        make_curvature = curvature_maker(self.config, first_order.num_parts['hessian'])
        self._metric = partial(self._metric_of, lower, upper, bool(head))
        self._cross = partial(self._cross_of, lower, upper)
        self._curvature_at_upper = partial(
            make_curvature, losses.at_upper, (*upper, *head), lazy=True
        )
        curvature = make_curvature(
            losses.closures,
            (*lower, *head),
            lazy=not self.solver.uses_products,
            # The columns that a direct solver begins with may well be zero.
            zero_text=None
            if self.solver.is_direct
            else partial(
                zero_hessian_text,
                first_order,
                losses.num_images,
                self.config.batch_size,
            ),
        )
        self._bind(curvature, self._state.take(done_steps, self._tag()))
        self._steps, self._checked_step = done_steps, checked_step

    def _metric_of(self, lower: Vectors, upper: Vectors, with_head: bool) -> Operator:
        metric = self.regularizer.metric(lower, upper)
        if not with_head:
            return metric
        if not self.config.head_weight:
            return BlockDiagonal(metric, len(lower), self.config.head_damping)
        self._head_block = HeadBlock(
            self._curvature_at_upper(),
            upper,
            1 / (self._weight + self.config.damping),
            self.config.head_damping,
        )
        return BlockDiagonal(metric, len(lower), self._head_block)

    def _cross_of(self, lower: Vectors, upper: Vectors, solution: Vectors) -> Vectors:
        found = self.regularizer.cross(solution[: len(lower)], lower, upper)
        if self._head_block is None:
            return found
        mixed = self._head_block.mixed(solution[len(lower) :])
        return tuple(torch._foreach_sub(list(found), list(mixed)))

    def _bind(self, curvature: Curvature, state: dict | None = None) -> None:
        self._weight = self.regularizer.weight
        operator = implicit_operator(
            curvature, self._weight, self.config.damping, self._metric()
        )
        self.bound = self.solver.bind(operator, state)

    @property
    def _is_new(self) -> bool:
        """Whether an upper step has changed the system."""
        regularizer = self.regularizer
        if self.config.head_weight:
            return True
        return not regularizer.has_constant_metric or regularizer.weight != self._weight

    def end(self) -> None:
        """Free the graphs of the operator and the state of the solver."""
        if self.bound is not None:
            self._state.leave(self.solver, self.bound)
            self.bound.operator.close()
        self.bound, self._head_block, self._parts = None, None, []
        # It holds the batches, too.
        self._curvature_at_upper = None

    @in_memory_phase('product')
    def solve(self, v: Vectors) -> Solution:
        r"""Solve the system of one step. All ranks get the same bits.

        With several ranks, all take the inner products and the solution of rank
        0. This costs one broadcast of a few bytes per inner product, and one of
        the size of the backbone.

        Args:
            v (Vectors): The downstream gradient at :math:`\theta_P`, as the mean
                over ranks.

        Raises:
            FloatingPointError: If the solution is not finite.
        """
        if self._is_new:
            # Another system of the same curvature; what is known of the old one
            # holds for it only if it is about the curvature.
            state = self.bound.state_dict() if self.solver.keeps_curvature else None
            self._bind(self.curvature_operator, state)
        check = self.config.check_residual == 'always' or self._steps == dict(
            first=0, random=self._checked_step
        ).get(self.config.check_residual)
        self._steps += 1
        with scalars_agreed(from_first_rank):
            solution = implicit_jacobian_product(
                v, self.bound, check, self.domain, self._cross
            )
        # Even with the scalars of rank 0, another processor may round in another
        # way.
        if get_world_size() > 1:
            same = from_first_rank(flatten(solution.value))
            solution = replace(solution, value=unflatten(same, solution.value))
        if solution.status is Status.NOT_FINITE:
            raise NotFinite(
                f'{type(self.solver).__name__}: {solution.status.value} '
                f'(after {solution.num_iters} iterations, lambda '
                f'{self.regularizer.weight}, damping {self.config.damping}).',
                remedy='Lower the learning rates or raise damping',
                parts=self._parts,
            )
        return solution

    def weight_gradients(self, levels: Levels, solution: Solution) -> Gradients:
        """Gradients of the regularizer's weights that the upper level learns.

        Args:
            levels (Levels): The parameters of the model.
            solution (Solution): From :meth:`solve`.

        Returns:
            dict[str, Tensor]: By name; all ranks get the same bits.
        """
        found = self.regularizer.upper_gradients(
            levels.theta_p, levels.theta_d, solution.value
        )
        return {name: from_first_rank(grad) for name, grad in found.items()}

    def settings(self) -> dict[str, object]:
        """The settings; a resumed run that changes one says so."""
        return dict(
            **{f'regularizer.{k}': v for k, v in self.regularizer.settings().items()},
            **{
                f'hypergradient.{k}': v
                for k, v in dict(
                    self.config.settings(), solver=repr(self.solver)
                ).items()
            },
        )

    def _tag(self) -> str:
        """What a kept state belongs to: the settings, and the parts of the batches.
        A contrastive loss has another Hessian in other parts."""
        return f'{self.settings()!r} {len(self._parts)}'

    def state_dict(self) -> dict:
        """The state of the solver and, within an upper phase, the settings of
        its system. Empty if nothing is kept."""
        bound = self.bound if self.solver.keeps_curvature or not self._is_new else None
        return self._state.of_phase(bound, self._tag())

    def load_state_dict(self, state: dict) -> None:
        """Use what :meth:`state_dict` gave, in the next phase."""
        self._state.load(self.solver, state)
