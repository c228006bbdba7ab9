"""The small bilevel problem of ``response.py``, whose lower level can be solved."""

import argparse

import torch
import torch.nn.functional as F
from digits_task import Pictures
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

ACTIVATIONS = dict(relu=nn.ReLU, gelu=nn.GELU)
TEMPERATURE = 0.5


class Problem:
    """SimCLR with a small convolutional network on fixed batches of digits.

    The head is fixed, as in the published system. Batch norms have the statistics
    of the batch.

    Args:
        network (str): ``'relu'`` or ``'gelu'``, everywhere.
        seed (int): Of weights, training and batches.
        args (argparse.Namespace): See ``response.py``.
        pictures (Pictures): Source of the views.

    Attributes:
        params (tuple[Tensor]): The backbone's.
        trained (Tensor): Their values after the training, shape ``(n, )``.
        own, other (list): Batches of the lower level, and as many others.
    """

    def __init__(
        self, network: str, seed: int, args: argparse.Namespace, pictures: Pictures
    ) -> None:
        torch.manual_seed(seed)
        pictures.generator.manual_seed(seed)
        self.network, self.args, self.pictures = network, args, pictures
        act, width = ACTIVATIONS[network], args.width

        def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            return [
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs, track_running_stats=False),
                act(),
            ]

        self.backbone = nn.Sequential(
            *block(3, width, 2),
            *block(width, 2 * width, 2),
            *block(2 * width, 2 * width, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ).double()
        self.head = nn.Sequential(
            nn.Linear(2 * width, 2 * width),
            nn.BatchNorm1d(2 * width, track_running_stats=False),
            act(),
            nn.Linear(2 * width, 16),
        ).double()
        self.classifier = nn.Linear(2 * width, 10).double()
        self.params = tuple(self.backbone.parameters())
        self._train()
        self.trained = parameters_to_vector(self.params).detach()
        self.own = [self._batch() for _ in range(args.batches)]
        self.other = [self._batch() for _ in range(args.batches)]
        self.labelled = [self._labelled() for _ in range(args.directions)]

    def _batch(self) -> list[Tensor]:
        return self.pictures.views(self.pictures.draw(self.args.batch), 2)

    def _labelled(self) -> tuple[Tensor, Tensor]:
        index = self.pictures.draw(self.args.batch)
        return self.pictures.views(index, 1)[0], self.pictures.labels[index]

    def _train(self) -> None:
        both = [*self.params, *self.head.parameters()]
        optimizer = torch.optim.Adam(both, lr=2e-3)
        for _ in range(self.args.train_steps):
            optimizer.zero_grad()
            self._nt_xent(self.logits(self._batch())).backward()
            optimizer.step()
        optimizer = torch.optim.Adam(self.classifier.parameters(), lr=1e-2)
        for _ in range(self.args.train_steps // 3):
            optimizer.zero_grad()
            self._downstream(*self._labelled()).backward()
            optimizer.step()
        for param in both:
            param.grad = None

    @staticmethod
    def first(batch: list[Tensor], number: int) -> list[Tensor]:
        """The first images of a batch."""
        return [view[:number] for view in batch]

    def logits(self, batch: list[Tensor]) -> Tensor:
        """Similarities of all views, shape ``(2 n, 2 n)``."""
        z = torch.cat([self.head(self.backbone(view)) for view in batch])
        z = F.normalize(z)
        return z @ z.T / TEMPERATURE

    @staticmethod
    def _nt_xent(logits: Tensor) -> Tensor:
        size = len(logits)
        itself = torch.eye(size, dtype=torch.bool)
        partner = torch.arange(size).roll(size // 2)
        return F.cross_entropy(logits.masked_fill(itself, -1e9), partner)

    def _downstream(self, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.classifier(self.backbone(images)), labels)

    def closure(self, batch: list[Tensor], cut: bool = False):
        """The loss of a batch as a function, or what GaussNewton takes."""
        if not cut:
            return lambda: self._nt_xent(self.logits(batch))

        def closure() -> tuple:
            logits = self.logits(batch)
            leaf = logits.detach().requires_grad_()
            return (logits,), (leaf,), self._nt_xent(leaf)

        return closure

    def downstream_gradient(self, i: int) -> Tensor:
        """Of the downstream loss on a batch of its own; a unit vector."""
        loss = self._downstream(*self.labelled[i])
        grads = torch.autograd.grad(loss, self.params)
        return F.normalize(parameters_to_vector(grads), dim=0)

    def set(self, theta: Tensor) -> None:
        """Give the backbone these weights, of shape ``(n, )``."""
        vector_to_parameters(theta.clone(), self.params)

    def gradient(self, theta: Tensor) -> Tensor:
        """That of the loss over all own batches, shape ``(n, )``."""
        self.set(theta)
        total = torch.zeros_like(theta)
        for batch in self.own:
            loss = self._nt_xent(self.logits(batch)) / len(self.own)
            total += parameters_to_vector(torch.autograd.grad(loss, self.params))
        return total

    def largest_curvature(self, num_steps: int = 12) -> float:
        """Of the loss at the present weights, by the power method."""
        theta = parameters_to_vector(self.params).detach()
        vector = F.normalize(torch.randn_like(theta), dim=0)
        step, at_rest, size = 1e-3 * theta.norm(), self.gradient(theta), 0.0
        for _ in range(num_steps):
            product = (self.gradient(theta + step * vector) - at_rest) / step
            size = max(size, product.norm().item())
            vector = F.normalize(product, dim=0)
        self.set(theta)
        return size

    def solve(
        self, centre: Tensor, start: Tensor, weight: float, curvature: float
    ) -> Tensor:
        """The minimum of ``L / weight + |theta - centre|^2 / 2``.

        By accelerated gradient descent (Nesterov 2004, 2.2.1) for a strongly
        convex function, then by steps that get shorter. The minimum may lie on
        kinks of ReLUs, where no slope vanishes: the weighted mean of the short
        steps goes there (Lacoste-Julien, Schmidt & Bach 2012).

        Args:
            centre (Tensor): theta_D, shape ``(n, )``.
            start (Tensor): Where to begin.
            weight (float): w.
            curvature (float): See :meth:`largest_curvature`.
        """
        size = 1 + 1.5 * curvature / weight
        momentum = (size**0.5 - 1) / (size**0.5 + 1)
        num_steps = int(self.args.steps * size**0.5) + 20
        x, ahead = start, start
        for _ in range(num_steps):
            x, last = ahead - self._slope(ahead, centre, weight) / size, x
            ahead = x + momentum * (x - last)
        mean, total = torch.zeros_like(x), 0.0
        for i in range(num_steps // 2):
            share = i + 2 * size
            x = x - 2 / share * self._slope(x, centre, weight)
            mean, total = mean + share * x, total + share
        return mean / total

    def _slope(self, theta: Tensor, centre: Tensor, weight: float) -> Tensor:
        return self.gradient(theta) / weight + theta - centre
