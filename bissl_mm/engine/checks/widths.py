"""Says which layer is given another number of channels than it was built for, or
vectors in the place of maps."""

import functools
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ...utils.errors import Refusal, ValueRefusal


class _Misfit(NamedTuple):
    name: str
    layer: nn.Module
    built_for: int
    given: int
    shape: tuple[int, ...]


def explains_widths(method: Callable) -> Callable:
    """Decorator of a method of a runner, or of a loop with a ``runner``. If a layer
    cannot take its input since the number of channels is another one, or since it has no
    height and width to average, the error becomes a ``ValueRefusal`` that names the
    layer and the setting."""

    @functools.wraps(method)
    def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except (RuntimeError, ValueError, IndexError) as error:
            if isinstance(error, Refusal):
                raise
            model = getattr(self, 'runner', self).model
            pool = _pool_of_vectors(error, getattr(model, 'module', model))
            if pool is not None:
                raise ValueRefusal(pool) from error
            found = _misfit(error, getattr(model, 'module', model))
            if found is None:
                raise
            raise ValueRefusal(_message(found, model)) from error

    return explained


def _misfit(error: BaseException, model: nn.Module) -> _Misfit | None:
    """The innermost layer in which an error was raised, if its width is the reason."""
    names = {module: name for name, module in model.named_modules() if name}
    found = None
    for values in _frames(error.__traceback__):
        layer = values.get('self')
        if not isinstance(layer, nn.Module) or layer not in names:
            continue
        inputs = values.get('input', values.get('x', values.get('args')))
        if isinstance(inputs, tuple) and inputs:
            inputs = inputs[0]
        built_for, dim = _width(layer)
        if not built_for or not isinstance(inputs, Tensor) or inputs.dim() < 2:
            found = None
            continue
        shape = tuple(inputs.shape)
        found = _Misfit(names[layer], layer, built_for, shape[dim], shape)
    return found if found and found.built_for != found.given else None


def _pool_of_vectors(error: BaseException, model: nn.Module) -> str | None:
    """A sentence on a neck that is to average vectors of its backbone."""
    names = {module: name for name, module in model.named_modules() if name}
    layer, inputs = None, None
    for values in _frames(error.__traceback__):
        own = values.get('self')
        if isinstance(own, nn.Module) and own in names:
            layer, inputs = own, values.get('input', values.get('x'))
    if isinstance(inputs, tuple) and inputs:
        inputs = inputs[-1]
    if layer is None or not isinstance(inputs, Tensor) or inputs.dim() != 2:
        return None
    name = names[layer]
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        name = name.rpartition('.')[0]
    neck = model.get_submodule(name)
    if getattr(neck, 'with_avg_pool', False):
        remedy = f'Set with_avg_pool=False in model.{name}.'
    elif neck is not layer:
        remedy = f'Remove model.{name}.'
    else:
        return None
    return (
        f"'{name}' ({type(neck).__name__}) averages maps, but is given vectors (an input "
        f'of shape {tuple(inputs.shape)}): its backbone averages them itself. {remedy}'
    )


def _frames(traceback: TracebackType | None) -> Iterator[dict[str, Any]]:
    """Local variables of each frame, outermost first."""
    while traceback is not None:
        yield traceback.tb_frame.f_locals
        traceback = traceback.tb_next


def _width(layer: nn.Module) -> tuple[int, int]:
    """Channels that a layer was built for (0 if it has none), and their axis."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, -1
    if isinstance(layer, _ConvNd):
        return layer.in_channels, 1
    if isinstance(layer, _BatchNorm):
        return layer.num_features, 1
    if isinstance(layer, nn.LayerNorm):
        return layer.normalized_shape[-1], -1
    return 0, 0


def _message(found: _Misfit, model: nn.Module) -> str:
    setting = _setting(found, getattr(model, 'module', model))
    return (
        f"the layer '{found.name}' ({type(found.layer).__name__}) was built for "
        f'{found.built_for} channels and is given {found.given} (an input of shape '
        f'{found.shape}). Set {found.given} in place of {found.built_for} in {setting}.'
    )


def _setting(found: _Misfit, model: nn.Module) -> str:
    """Of the nearest module around a layer that says the same number of channels."""
    parts = found.name.split('.')
    for end in range(len(parts) - 1, 0, -1):
        name = '.'.join(parts[:end])
        said = getattr(model.get_submodule(name), 'in_channels', None)
        if found.built_for in (said if isinstance(said, (list, tuple)) else [said]):
            return f'in_channels of model.{name}'
    # Necks, for example, do not keep their settings.
    number = 2 if parts[0] in ('pretext', 'downstream') else 1
    return f'the settings of model.{".".join(parts[:number])}'
