"""The linear system that every step of an upper phase solves."""

from dataclasses import replace
from functools import partial
from typing import Dict, List, Optional, Sequence, Union

import torch

from ...hypergradient import (GaussNewtonOperator, HessianOperator, Solution,
                             Status, Vectors, check_scale,
                             implicit_jacobian_product)
from ...hypergradient.linalg.basis import flatten, unflatten
from ...hypergradient.linalg.vectors import scalars_agreed
from ...models.bissl_model import BiSSLModel
from ...models.functional import pretext_closure
from ...models.outputs import pretext_outputs_closure
from ...registry import build_solver
from ...utils.check import check_in, check_positive_int
from ...utils.random import seeded
from ..checks.batch_report import NotFinite
from ..distributed import from_first_rank, is_parallel, mean_over_ranks
from .gradients import FirstOrder, first_samples, part_seed
from .params import select
from .lone_images import count_images, zero_hessian_text
from .parts import device_of

#: Setting -> the pretext loss as a function, and the operator that takes it.
_CURVATURES = dict(
    hessian=(pretext_closure, HessianOperator),
    gauss_newton=(pretext_outputs_closure, GaussNewtonOperator))


class ImplicitSystem:
    r""":math:`[I + H/(\lambda + \delta)] \, v_{IJ} = v` and its solver.

    The operator exists between :meth:`begin` and :meth:`end`, for one upper
    phase. For the arguments see :class:`BiSSLOptimWrapper`.

    Attributes:
        solver (Solver): Of the system.
        operator (HessianOperator, optional): Of the phase; None outside.
        through (list[bool]): For each lower backbone parameter whether the
            operator acts on it.
    """

    def __init__(self, reg_weight: float, damping: float,
                 solver: Optional[dict], check_residual: str,
                 jacobian_params: Union[str, List[str], None], curvature: str,
                 hessian_batch_size: Optional[int],
                 product_dtype: Optional[str]) -> None:
        check_scale(reg_weight, damping)
        owner = 'BiSSLOptimWrapper'
        check_in(owner, 'check_residual', check_residual,
                 ('random', 'first', 'always', 'never'))
        check_in(owner, 'curvature', curvature, tuple(_CURVATURES))
        check_in(owner, 'product_dtype', product_dtype, (None, 'bfloat16'))
        if hessian_batch_size is not None:
            check_positive_int(owner, 'hessian_batch_size',
                               hessian_batch_size)
        self.reg_weight = reg_weight
        self.damping = damping
        self.solver = build_solver(
            solver or dict(type='LayerwiseCGSolver', max_iters=5))
        self.check_residual = check_residual
        self.jacobian_params = jacobian_params
        self.curvature = curvature
        self.hessian_batch_size = hessian_batch_size
        self.product_dtype = product_dtype
        self.operator: Optional[HessianOperator] = None
        self.through: List[bool] = []
        self._steps = self._checked_step = 0
        # Preprocessed, as the closures of the operator hold them, too.
        self._parts: List[dict] = []

    def begin(self, model: BiSSLModel, batches: Sequence[dict], seed: int,
              first_order: FirstOrder, done_steps: int = 0,
              checked_step: int = 0) -> None:
        """See :meth:`BiSSLOptimWrapper.begin_upper_phase`."""
        if done_steps == 0:
            self.solver.reset()
        pretext = model.pretext
        make_closure, make_operator = _CURVATURES[self.curvature]
        closures, self._parts = [], []
        for batch in batches:
            if self.hessian_batch_size is not None:
                batch = first_samples(batch, self.hessian_batch_size)
            with seeded(seed, device_of(pretext)):
                parts = first_order.prepare(pretext, 'hessian', batch)
            self._parts += parts
            closures += [make_closure(pretext, data, part_seed(seed, i))
                         for i, data in enumerate(parts)]
        self.through = select(pretext,
                              [name for name, _ in model.pairs.params],
                              self.jacobian_params)
        self.operator = make_operator(
            closures,
            [p for p, inside in zip(model.lower_backbone(), self.through)
             if inside],
            self.reg_weight,
            self.damping,
            mean_over_ranks=mean_over_ranks,
            keep_graphs=first_order.num_parts['hessian'] == 1,
            product_dtype=self.product_dtype and getattr(
                torch, self.product_dtype),
            lazy=not self.solver.uses_products,
            zero_text=partial(zero_hessian_text, first_order,
                              count_images(batch), self.hessian_batch_size))
        self._steps, self._checked_step = done_steps, checked_step

    def end(self) -> None:
        """Free the graphs of the operator and what the solver keeps."""
        if self.operator is not None:
            self.operator.close()
            self.solver.reset()
        self.operator, self._parts = None, []

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
        check = self.check_residual == 'always' or self._steps == dict(
            first=0, random=self._checked_step).get(self.check_residual)
        self._steps += 1
        with scalars_agreed(from_first_rank):
            solution = implicit_jacobian_product(v, self.operator,
                                                 self.solver, check,
                                                 self.through)
        # With the scalars of rank 0, another processor's arithmetic may still
        # round otherwise.
        solution = replace(solution, value=unflatten(
            from_first_rank(flatten(solution.value)), solution.value)) \
            if is_parallel() else solution
        if solution.status is Status.NOT_FINITE:
            raise NotFinite(
                f'{type(self.solver).__name__}: {solution.status.value} '
                f'(after {solution.num_iters} iterations, reg_weight='
                f'{self.reg_weight}, damping={self.damping}).',
                remedy='Lower the learning rates or raise damping',
                parts=self._parts)
        return solution

    def settings(self) -> Dict[str, object]:
        """What a resumed run should not change without notice."""
        return dict(
            reg_weight=self.reg_weight,
            damping=self.damping,
            solver=repr(self.solver),
            jacobian_params=self.jacobian_params,
            curvature=self.curvature,
            hessian_batch_size=self.hessian_batch_size,
            product_dtype=self.product_dtype)

    def state_dict(self) -> dict:
        """What the solver keeps within an upper phase, and for which
        system; empty if nothing."""
        kept = self.solver.state_dict()
        return dict(solver=kept, of=repr(self.settings())) if kept else {}

    def load_state_dict(self, state: dict) -> None:
        """Take up what :meth:`state_dict` gave, unless the settings changed:
        what a solver keeps belongs to one operator."""
        same = state.get('of') == repr(self.settings())
        self.solver.load_state_dict(state['solver'] if same else {})
