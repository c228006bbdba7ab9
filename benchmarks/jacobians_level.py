"""The lower level that ``jacobians.py`` differentiates."""

import copy
from collections.abc import Callable

import torch
from response_problem import Problem
from torch import Tensor, nn

from bissl_mm.hypergradient import Hessian, Identity, Vectors, materialize
from bissl_mm.hypergradient.linalg.basis import flatten, unflatten
from bissl_mm.hypergradient.unrolled import SGDStep, UnrolledSolves, UnrolledSteps
from bissl_mm.models.lora import Lora, is_adapter


class Level:
    """The lower level of one set of unknowns, from phase to phase.

    Args:
        problem (Problem): Trained; not changed.
        rank (int): Above 0, the unknowns are adapters of this rank.
        weight (float): w.
    """

    def __init__(self, problem: Problem, rank: int, weight: float) -> None:
        self.problem, self.weight = twin(problem), weight
        if rank:
            torch.manual_seed(rank)
            for layer in self.problem.backbone.modules():
                if isinstance(layer, nn.Conv2d):
                    Lora(rank).adapt(layer)
            adapters = {
                name: p
                for name, p in self.problem.backbone.named_parameters()
                if is_adapter(name)
            }
            self.problem.params = tuple(adapters.values())
        self.centre = values(self.problem.params)
        self.path: list[Vectors] = []
        self.batch: list[Tensor] = []
        self.lr = 0.0

    def hessian(self, lazy: bool = True) -> Hessian:
        """That of the batch; torch's layers are the faster ones at this size."""
        return Hessian(
            [self.loss()], self.problem.params, lazy=lazy, second_order='torch'
        )

    def loss(self, part: slice = slice(None)) -> Callable[[], Tensor]:
        """The pretext loss of some images of the batch, as a function."""
        return self.problem.closure([view[part] for view in self.batch])

    def begin_phase(self, number: int) -> None:
        """Take the lower steps of a phase."""
        params = self.problem.params
        self.batch = self.problem.own[number]
        curvature = self.hessian()
        vector, size = tuple(torch.randn_like(p) for p in params), 1.0
        # The largest curvature bounds the step; by the power method.
        for _ in range(8):
            size = flatten(vector).norm().item()
            vector = curvature(tuple(v / size for v in vector))
        self.lr = 0.5 / (flatten(vector).norm().item() + self.weight)
        self.path = []
        for _ in range(self.problem.args.lower_steps):
            self.path.append(values(params))
            grads = torch.autograd.grad(self.loss()(), params)
            with torch.no_grad():
                for p, g, c in zip(params, grads, self.centre, strict=True):
                    p -= self.lr * (g + self.weight * (p - c))

    def right_hand_sides(self) -> list[Vectors]:
        """Downstream gradients of length 1."""
        number = len(self.problem.labelled)
        return [
            unflatten(self.problem.downstream_gradient(i), self.problem.params)
            for i in range(number)
        ]

    def dense(self) -> Tensor:
        """I + H / w, by one product for each unknown."""
        params = self.problem.params
        matrix = materialize(self.hessian(), params)
        matrix = (matrix + matrix.T) / 2 / self.weight
        return matrix + torch.eye(len(matrix), dtype=matrix.dtype)

    def unrolled(self, number: int) -> UnrolledSolves:
        """The solver of the last lower steps."""
        steps = []
        for at in self.path[-number:]:
            moved = twin(self.problem)
            for p, value in zip(moved.params, at, strict=True):
                p.data = value
            count = len(at)
            steps.append(
                SGDStep(
                    Hessian(
                        [moved.closure(self.batch)], moved.params, second_order='torch'
                    ),
                    self.weight,
                    clip=1.0,
                    lr=[self.lr] * count,
                    momentum=[0.0] * count,
                    dampening=[0.0] * count,
                    weight_decay=[0.0] * count,
                    nesterov=[False] * count,
                    begins=[True] * count,
                )
            )
        count = len(self.problem.params)
        return UnrolledSolves(UnrolledSteps(steps, Identity(), lambda x: x, count))


def twin(problem: Problem) -> Problem:
    """The same problem with a backbone of its own."""
    found = copy.copy(problem)
    found.backbone = copy.deepcopy(problem.backbone)
    found.params = tuple(found.backbone.parameters())
    return found


def values(params: Vectors) -> Vectors:
    return tuple(p.detach().clone() for p in params)
