"""Losses as pure functions of the parameters."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from mmengine.model import BaseAveragedModel, BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...utils.compat import plain_attention, plain_checkpoints
from ...utils.errors import RuntimeRefusal
from ...utils.random import seeded
from ...utils.replaced import replaced
from ...utils.scales import Scales
from .plain_state import held_numbers

#: Of each model's norms. They are read from a device once, and not per graph.
_SCALES: WeakKeyDictionary[nn.Module, Scales] = WeakKeyDictionary()


@contextmanager
def pure_forward(
    model: nn.Module, seed: int, derived_twice: bool = True
) -> Iterator[None]:
    """Inside, forward passes change nothing and repeat bit for bit.

    - Batch normalisation layers use the statistics that they would use anyway,
      but do not update their running statistics.
    - Averaged models (BYOL's target network) are not updated.
    - Other buffers that are written (a queue, for example) are restored, and so are
      parts without a trained parameter (CAE's teacher), and what modules count or
      collect without a buffer, see :func:`held_numbers`.
    - Random draws start from ``seed``; all generators are restored.
    - Activation checkpointing is not re-entrant.
    - With ``derived_twice``, attention uses its plain implementation, the only
      one that has a second derivative.

    Args:
        model (nn.Module): The model whose forward runs inside.
        seed (int): Seed of the random draws.
        derived_twice (bool): See above. Defaults to True.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    buffers = [(b, b._version, b.detach().clone()) for b in model.buffers()]
    fixed = [(t, t.detach().clone()) for t in fixed_parts(model)]
    device = next(model.parameters()).device
    scales = _SCALES.setdefault(model, Scales())
    scales.begin()
    with ExitStack() as stack:
        stack.enter_context(held_numbers(model))
        stack.callback(restore_parts, fixed)
        stack.callback(_restore_buffers, buffers)
        for norm in norms:
            stack.enter_context(replaced(norm, 'track_running_stats', False))
            stack.enter_context(replaced(norm, 'scales', scales))
        stack.enter_context(held_averages(model))
        stack.enter_context(seeded(seed, device))
        stack.enter_context(plain_checkpoints())
        if derived_twice:
            stack.enter_context(plain_attention())
        yield


def fixed_parts(model: nn.Module) -> list[Tensor]:
    """Tensors of the parts of a model that no optimizer trains: teachers and
    generators of targets. Averaged models are not among them, which are held."""
    return [tensor for part in model.children() for tensor in tensors_if_fixed(part)]


def tensors_if_fixed(part: nn.Module) -> list[Tensor]:
    """The tensors of a part, if it is such a one."""
    if isinstance(part, BaseAveragedModel) or any(
        p.requires_grad for p in part.parameters()
    ):
        return []
    return [*part.parameters(), *part.buffers()]


@contextmanager
def held_averages(model: nn.Module) -> Iterator[None]:
    """Inside, averaged models (BYOL's target network) are not updated."""
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, BaseAveragedModel):
                stack.enter_context(replaced(module, 'update_parameters', _do_nothing))
        yield


def _do_nothing(*args, **kwargs) -> None:
    """Replaces the update of a target network."""


def _restore_buffers(buffers: list[tuple[Tensor, int, Tensor]]) -> None:
    for buffer, version, value in buffers:
        if buffer._version != version:
            with torch.no_grad():
                buffer.copy_(value)


def restore_parts(parts: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Give each tensor the values of the second one."""
    # mmpretrain moves them by their .data, which no version counts.
    for tensor, value in parts:
        tensor.data.copy_(value)


@dataclass(frozen=True)
class PretextLoss:
    """The pretext loss on one fixed batch, as a pure function.

    Attributes:
        pretext (BaseModel): The function is one of its parameters at the time
            of the call.
        data (dict): A batch from the model's data preprocessor.
        seed (int): Seed of the random draws of the loss (masks, drop path).
        derived_twice (bool): Whether second derivatives are asked for.
    """

    pretext: BaseModel
    data: dict
    seed: int
    derived_twice: bool = True

    def held(self) -> AbstractContextManager:
        """Within it, a forward pass that is repeated for the gradient is the
        same, see :func:`pure_forward`."""
        return pure_forward(self.pretext, self.seed, self.derived_twice)

    def __call__(self) -> Tensor:
        """The scalar loss of this rank with its graph.

        Raises:
            RuntimeError: If the forward pass writes to a trained parameter.
        """
        before = {n: p._version for n, p in self._params()}
        with self.held():
            losses = self.pretext(**self.data, mode='loss')
            loss = self.pretext.parse_losses(losses)[0]
        for name, param in self._params():
            if param._version != before[name]:
                raise RuntimeRefusal(
                    f'pretext model: the forward pass of {type(self.pretext).__name__} '
                    f'writes to its parameter {name!r}, so a product with the '
                    'Hessian, also by differences, would change the model. Use '
                    'another pretext task, for example bissl_mm.SimCLR or '
                    'bissl_mm.BYOL.'
                )
        return loss

    def _params(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.pretext.named_parameters() if p.requires_grad)


@dataclass(frozen=True)
class PretextLossWithState(PretextLoss):
    """The same, with other parameters and buffers.

    Attributes:
        state (Callable): Returns all parameters and buffers by name, at the
            time of the call.
    """

    state: Callable[[], dict[str, Tensor]] = dict

    @contextmanager
    def held(self) -> Iterator[None]:
        """See :meth:`PretextLoss.held`."""
        with substituted(self.pretext, self.state()), super().held():
            yield


def pretext_closure(
    pretext: BaseModel, data: dict, seed: int, derived_twice: bool = True
) -> Callable[[], Tensor]:
    """See :class:`PretextLoss`."""
    return PretextLoss(pretext, data, seed, derived_twice)


@contextmanager
def substituted(model: nn.Module, state: dict[str, Tensor]) -> Iterator[None]:
    """Inside, a model computes with other parameters and buffers.

    Tensors are exchanged by identity. A weight that several modules share is
    therefore exchanged everywhere, and so is a module with several names.
    ``torch.func.functional_call`` does not do this.

    Args:
        model (nn.Module): Its own tensors are restored afterwards.
        state (dict[str, Tensor]): All parameters and buffers by name.

    Raises:
        KeyError: If a name is missing or unknown.
    """
    own: dict[str, Tensor] = {
        **dict(model.named_parameters()),
        **dict(model.named_buffers()),
    }
    if own.keys() != state.keys():
        raise KeyError(
            'substituted: the state does not name the tensors of '
            f'{type(model).__name__}; missing or unknown: '
            f'{sorted(own.keys() ^ state.keys())[:5]}'
        )
    partner = {id(own[name]): tensor for name, tensor in state.items()}
    taken_out = []
    try:
        for module in model.modules():
            tables: tuple[Any, ...] = (module._parameters, module._buffers)
            for table in tables:
                for key, tensor in table.items():
                    if id(tensor) in partner:
                        taken_out.append((table, key, tensor))
                        table[key] = partner[id(tensor)]
        yield
    finally:
        for table, key, tensor in taken_out:
            table[key] = tensor


def loss_with_state(model: BaseModel, state: dict[str, Tensor], data: dict) -> Tensor:
    """The loss of a model whose parameters and buffers are replaced.

    Neither the model itself nor the annotations change, nor what its modules count
    or collect beside their tensors.

    Args:
        model (BaseModel): Any OpenMMLab model.
        state (dict[str, Tensor]): All parameters and buffers by name. The model
            writes its buffers into these tensors.
        data (dict): A batch from the model's data preprocessor.

    Returns:
        Tensor: Scalar loss, differentiable in the tensors of ``state``.
    """
    if 'data_samples' in data:
        data = dict(data, data_samples=copy.deepcopy(data['data_samples']))
    with substituted(model, state), held_numbers(model):
        losses = model(**data, mode='loss')
    return model.parse_losses(losses)[0]
