"""Solves that also use a model of what no product has shown."""

import math

import torch
from torch import Tensor

from ...linalg.basis import row_dot
from ..recycled_solves import RecycledSolves
from ..run import Product, Run
from .secant_model import ModelStep, SecantModel


class ExtrapolatingSolves(RecycledSolves):
    """See :class:`RecycledSolves`, and :class:`RecyclingSolver` for the idea.

    The model gives the next direction. It also gives a last step, on which no
    product is spent; how much that step leaves is estimated.
    """

    _products: SecantModel
    # Of the residual in hand: V^T r, and the step of the model.
    _along: Tensor
    _step: ModelStep

    def __init__(self, solver, operator, state=None) -> None:
        super().__init__(solver, operator, state)
        state = state or {}
        # By place in a solve: ||A z - z|| / ||z|| off the known space.
        self._unseen: list[float] = state['unseen'].tolist() if state else []
        # How many solves so far could have done without a product.
        self._num_free = int(state.get('num_free', 0))

    def _products_of(self, state: dict[str, Tensor]) -> SecantModel:
        # Checkpoints are read onto the device, where only rows belong.
        if not state:
            return SecantModel()
        return SecantModel(state['triangle'].cpu(), state['overlap'].cpu())

    def state_dict(self) -> dict[str, Tensor]:
        """The basis and what the estimates follow from; empty without one."""
        state = super().state_dict()
        return state and dict(
            state,
            overlap=self._products.overlap.clone(),
            unseen=torch.tensor(self._unseen, dtype=torch.float64),
            num_free=torch.tensor(self._num_free),
        )

    def _along_known(self, r: Tensor) -> list[Tensor]:
        return [self._directions.dots(r)]

    def _begin(self, *along: Tensor) -> None:
        (self._along,) = along

    def _estimate(self, residual: float, place: int) -> float:
        self._step = step = ModelStep(self._products, self._along, residual)
        if place >= len(self._unseen) or not step.is_sane:
            return math.inf
        # Off the known directions, and along them.
        return math.hypot(self._unseen[place] * step.direction_norm, step.gap)

    def _is_enough(self, run: Run) -> bool:
        # Not "<=": a NaN must get through to the status.
        if min(run.residual, run.estimate) > run.wanted:
            return False
        if run.num_iters or run.residual <= run.wanted:
            return True
        # The estimate would be enough for a solve without a product. Some of
        # these solves spend one all the same: the 1st, 2nd, 4th, 8th, ...
        self._num_free += 1
        return self._num_free & (self._num_free - 1) != 0

    def _guess(self, residual: Tensor, size: float, out: Tensor) -> float:
        self._step.direction(residual, self._directions, self._images, out=out)
        return self._step.sum_size

    def _of_direction(self, u: Tensor) -> list[Tensor]:
        return [self._images.dots(u)]

    def _keep(self, product: Product, column: Tensor, rest: float) -> None:
        (images_u,) = product.of_direction
        self._products.learn(column, rest, images_u, product.in_u)

    def _append(self, u: Tensor, c: Tensor, product: Product, place: int) -> bool:
        if not super()._append(u, c, product, place):
            return False
        unseen = self._products.unseen_of_last()
        if place == len(self._unseen):
            self._unseen.append(unseen)
        else:
            self._unseen[place] = max(unseen, self._unseen[place])
        return True

    def _along_newest(self, u: Tensor, r: Tensor) -> list[Tensor]:
        return [row_dot(u, r)]

    def _step_taken(self, weight: Tensor, *along: Tensor) -> None:
        self._along = (
            torch.cat((self._along, *along)) - weight * self._products.overlap[:, -1]
        )

    def _extrapolated(self, parts: Tensor, r: Tensor) -> Tensor:
        return self._step.extrapolation(r, self._directions, self._images, parts)
