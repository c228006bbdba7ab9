"""An upper phase as Algorithm 2 of the paper has it, nothing shared.

The baseline of ``upper_phase.py``, written from the paper's text: every
Hessian-vector product evaluates the pretext loss and its gradient anew, and
backbone and head get their gradients from a backward pass of their own.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bissl_mm.models import BiSSLModel, pretext_closure
from bissl_mm.models.losses.functional import loss_with_state

Vector = tuple[Tensor, ...]


class PublishedPhase:
    """Upper steps of one phase.

    Args:
        model (BiSSLModel): Changed as by ``BiSSLOptimWrapper.upper_step``.
        batch (dict): Preprocessed pretext batch of the Hessian.
        optimizer (Optimizer): Of the upper level.
        reg_weight (float): Lambda.
        damping (float): Delta.
        num_iters (int): N_c.
    """

    def __init__(
        self,
        model: BiSSLModel,
        batch: dict,
        optimizer,
        reg_weight: float,
        damping: float,
        num_iters: int,
    ) -> None:
        self.model = model
        self.closure: Callable[[], Tensor] = pretext_closure(model.pretext, batch, 0)
        self.optimizer = optimizer
        self.scale = 1.0 / (reg_weight + damping)
        self.num_iters = num_iters
        self.num_products = 0
        self.solutions: list[tuple[Vector, Vector]] = []

    def product(self, vector: Sequence[Tensor]) -> Vector:
        """``(I + H / (lambda + delta)) vector``, from scratch."""
        self.num_products += 1
        params = self.model.lower_backbone()
        grads = torch.autograd.grad(self.closure(), params, create_graph=True)
        inner = sum((g * x).sum() for g, x in zip(grads, vector))
        return tuple(
            x + self.scale * h
            for x, h in zip(vector, torch.autograd.grad(inner, params))
        )

    def solve(self, v: Vector) -> Vector:
        """Layer-wise conjugate gradients, always ``num_iters`` of them."""
        x = [torch.zeros_like(t) for t in v]
        r = [t.clone() for t in v]
        p = [t.clone() for t in v]
        for _ in range(self.num_iters):
            q = self.product(p)
            for i in range(len(v)):
                rr = (r[i] * r[i]).sum()
                step = rr / ((p[i] * q[i]).sum() + 1e-12)
                x[i] = x[i] + step * p[i]
                r[i] = r[i] - step * q[i]
                p[i] = r[i] + (r[i] * r[i]).sum() / (rr + 1e-12) * p[i]
        return tuple(x)

    def step(self, data: dict) -> None:
        """One upper step on a preprocessed downstream batch."""
        model = self.model
        theta_p, theta_d = model.lower_backbone(), model.upper_backbone()
        phi = model.upper_head()

        def at_lower() -> Tensor:
            return loss_with_state(model.downstream, model.upper_state_at_lower(), data)

        def at_upper() -> Tensor:
            losses = model.downstream(**data, mode='loss')
            return model.downstream.parse_losses(losses)[0]

        loss = at_lower()
        v = torch.autograd.grad(loss, theta_p, retain_graph=True)
        head = torch.autograd.grad(loss, phi)
        solution = self.solve(v)
        loss = at_upper()
        direct = torch.autograd.grad(loss, theta_d, retain_graph=True)
        head_direct = torch.autograd.grad(loss, phi)
        for param, a, b in zip(
            (*theta_d, *phi), (*solution, *head), (*direct, *head_direct), strict=True
        ):
            param.grad = a + b
        torch.nn.utils.clip_grad_norm_((*theta_d, *phi), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.solutions.append((v, solution))
