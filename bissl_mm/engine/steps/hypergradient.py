"""The linear system that every step of an upper phase solves."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from ...datasets.batch_parts import first_samples
from ...hypergradient import (
    BlockDiagonal,
    BoundSolver,
    Curvature,
    Domain,
    GaussNewton,
    Hessian,
    Identity,
    Operator,
    Solution,
    Status,
    Vectors,
    WithHead,
    check_scale,
    implicit_jacobian_product,
    implicit_operator,
)
from ...hypergradient.linalg.basis import flatten, unflatten
from ...hypergradient.linalg.vectors import scalars_agreed
from ...hypergradient.regularizer import Regularizer
from ...models.bissl_model import BiSSLModel, Levels
from ...models.losses.functional import pretext_closure
from ...models.losses.outputs import pretext_outputs_closure
from ...registry import build_solver
from ...utils.random import seeded
from ..checks.batch_report import NotFinite
from ..distributed import from_first_rank, mean_over_ranks
from .gradients import FirstOrder, Gradients, part_seed
from .lone_images import count_images, zero_hessian_text
from .params import select
from .parts import device_of
from .settings import HypergradientSettings

#: Setting -> the pretext loss as a function, and the operator that takes it.
_CURVATURES = dict(
    hessian=(pretext_closure, Hessian),
    gauss_newton=(pretext_outputs_closure, GaussNewton),
)


class Hypergradient(NamedTuple):
    r"""What an upper step computes before it changes anything.

    ``logs`` are tensors of one number, ``gradients`` go by the downstream
    model's names, ``v`` and the ``solution`` with :math:`v_{IJ}` are None
    without the indirect term.
    """

    logs: dict[str, Tensor]
    gradients: Gradients
    v: Vectors | None
    solution: Solution | None


class ImplicitSystem:
    r""":math:`[I + H/(\lambda + \delta)] \, v_{IJ} = v` and its solver.

    A bound solver exists between :meth:`begin` and :meth:`end`, for one upper
    phase.

    Args:
        regularizer (Regularizer): Of the lower level.
        settings (HypergradientSettings): Of the system.

    Attributes:
        solver (Solver): Of the system.
        bound (BoundSolver, optional): To the operator of the phase; None
            outside.
        domain (Domain, optional): The unknowns of the phase's system.
    """

    def __init__(
        self, regularizer: Regularizer, settings: HypergradientSettings
    ) -> None:
        check_scale(regularizer.weight, settings.damping)
        self.regularizer = regularizer
        self.config = settings
        self.solver = build_solver(settings.solver)
        self.bound: BoundSolver | None = None
        # What a resumed run found of the phase that it was interrupted in.
        self._resumed: dict = {}
        self.domain: Domain | None = None
        self._steps = self._checked_step = 0
        # Preprocessed, as the closures of the operator hold them, too.
        self._parts: list[dict] = []
        self._cross: Callable[[Vectors], Vectors] | None = None
        # Of the operator that the solver is bound to.
        self._metric: Callable[[], Operator] = Identity
        self._weight = regularizer.weight

    @property
    def curvature_operator(self) -> Curvature | None:
        """Of the phase's operator; None outside."""
        return None if self.bound is None else self.bound.operator.second.operator

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
            model (BiSSLModel): In training mode, not changed;
                :math:`\theta_P` and :math:`\phi_P` must stay as they are
                until :meth:`end`.
            batches (Sequence[dict]): Pretext batches of this rank for the
                Hessian, one in the published algorithm.
            seed (int): Seed of the random draws of the pretext loss on this
                rank, the same for all products.
            first_order (FirstOrder): In how many parts a batch passes the
                network.
            done_steps (int): Steps of this phase that an interrupted run
                took already. Defaults to 0.
            checked_step (int): The ``'random'`` one. Defaults to 0.
        """
        pretext = model.pretext
        make_closure, make_curvature = _CURVATURES[self.config.curvature]
        closures, self._parts = [], []
        for batch in batches:
            if self.config.batch_size is not None:
                batch = first_samples(batch, self.config.batch_size)
            with seeded(seed, device_of(pretext)):
                parts = first_order.prepare(pretext, 'hessian', batch)
            self._parts += parts
            closures += [
                make_closure(pretext, data, part_seed(seed, i))
                for i, data in enumerate(parts)
            ]
        levels = model.levels
        through = select(pretext, levels.lower_names, self.config.params)
        head = levels.phi_p if self.config.pretext_head else ()
        self.domain = WithHead(through, head) if head else Domain(through)
        lower, upper = map(self.domain.leaves, (levels.theta_p, levels.theta_d))
        self._metric = partial(self._metric_of, lower, upper, bool(head))
        curvature = make_curvature(
            closures,
            (*lower, *head),
            mean_over_ranks=mean_over_ranks,
            keep_graphs=first_order.num_parts['hessian'] == 1,
            product_dtype=self.config.dtype and getattr(torch, self.config.dtype),
            second_order=self.config.second_order,
            small_image_kernels=self.config.small_image_kernels,
            lazy=not self.solver.uses_products,
            zero_text=partial(
                zero_hessian_text,
                first_order,
                count_images(batch),
                self.config.batch_size,
            ),
        )
        # What a solver keeps belongs to one operator: that of the same
        # phase, under the same settings.
        resumed, self._resumed = self._resumed, {}
        same = done_steps > 0 and resumed.get('of') == repr(self.settings())
        self._bind(curvature, resumed['solver'] if same else None)
        self._cross = partial(self.regularizer.cross, lower=lower, upper=upper)
        self._steps, self._checked_step = done_steps, checked_step

    def _metric_of(self, lower: Vectors, upper: Vectors, with_head: bool) -> Operator:
        metric = self.regularizer.metric(lower, upper)
        if not with_head:
            return metric
        return BlockDiagonal(metric, len(lower), self.config.head_damping)

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
        return not regularizer.has_constant_metric or regularizer.weight != self._weight

    def end(self) -> None:
        """Free the graphs of the operator and what the solver keeps."""
        if self.bound is not None:
            self.bound.operator.close()
        self.bound, self._parts = None, []

    def solve(self, v: Vectors) -> Solution:
        r"""Of one step; the same on all ranks to the bit.

        On several ranks all inner products are those of rank 0, and so is
        the solution: one broadcast of a few bytes for each inner product,
        and one of the size of the backbone.

        Args:
            v (Vectors): The mean over ranks of the downstream gradient at
                :math:`\theta_P`.

        Raises:
            FloatingPointError: If the solution is not finite.
        """
        if self._is_new:
            # Another system of the same curvature; nothing known of the old one
            # holds for it.
            self._bind(self.curvature_operator)
        check = self.config.check_residual == 'always' or self._steps == dict(
            first=0, random=self._checked_step
        ).get(self.config.check_residual)
        self._steps += 1
        with scalars_agreed(from_first_rank):
            solution = implicit_jacobian_product(
                v, self.bound, check, self.domain, self._cross
            )
        # With the scalars of rank 0, another processor's arithmetic may still
        # round otherwise.
        solution = (
            replace(
                solution,
                value=unflatten(
                    from_first_rank(flatten(solution.value)), solution.value
                ),
            )
            if get_world_size() > 1
            else solution
        )
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
        """Gradients of what the upper level learns of the regularizer, by
        name; the same on all ranks to the bit.

        Args:
            levels (Levels): Of the model.
            solution (Solution): Of :meth:`solve`.
        """
        found = self.regularizer.upper_gradients(
            levels.theta_p, levels.theta_d, solution.value
        )
        return {name: from_first_rank(grad) for name, grad in found.items()}

    def settings(self) -> dict[str, object]:
        """What a resumed run should not change without notice."""
        return dict(
            **{f'regularizer.{k}': v for k, v in self.regularizer.settings().items()},
            **{
                f'hypergradient.{k}': v
                for k, v in dict(
                    self.config.settings(), solver=repr(self.solver)
                ).items()
            },
        )

    def state_dict(self) -> dict:
        """What the solver keeps within an upper phase, and for which
        system; empty if nothing."""
        is_kept = self.bound is not None and not self._is_new
        kept = self.bound.state_dict() if is_kept else {}
        return dict(solver=kept, of=repr(self.settings())) if kept else {}

    def load_state_dict(self, state: dict) -> None:
        """Take up what :meth:`state_dict` gave, in the next phase."""
        self._resumed = state
