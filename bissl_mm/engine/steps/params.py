"""Which parameters the implicit Jacobian goes through."""

import re
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from ...utils.errors import ValueRefusal

# _NormBase: batch and instance norms.
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


def select(
    pretext: nn.Module, names: Sequence[str], wanted: str | Sequence[str] | None
) -> list[bool]:
    """Which of the lower backbone's parameters are meant.

    Args:
        pretext (nn.Module): The pretext model.
        names (Sequence[str]): Names of the parameters in it.
        wanted (str or Sequence[str], optional): See ``jacobian_params`` of
            :class:`BiSSLOptimWrapper`.

    Returns:
        list[bool]: One a name.

    Raises:
        ValueError: If no parameter is meant, or a pattern is none.
    """
    if wanted is None:
        return [True] * len(names)
    if wanted == 'norm':
        modules = dict(pretext.named_modules())
        found = [isinstance(modules[name.rpartition('.')[0]], _NORMS) for name in names]
    elif isinstance(wanted, str):
        raise ValueRefusal(
            f"jacobian_params is {wanted!r}, but must be 'norm' or a list of "
            f'regular expressions, for example [{wanted!r}].'
        )
    else:
        try:
            found = [
                any(re.search(pattern, name) for pattern in wanted) for name in names
            ]
        except re.error as error:
            raise ValueRefusal(
                f'jacobian_params: {error.pattern!r} is no regular '
                f'expression ({error}).'
            ) from error
    if not any(found):
        raise ValueRefusal(
            f'jacobian_params={wanted!r} names no parameter of the lower '
            f'backbone, which has {len(names)}: {names[0]!r}, ..., '
            f'{names[-1]!r}.'
        )
    return found
