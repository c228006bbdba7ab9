"""Select the parameters through which the implicit Jacobian is taken."""

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
    """Which parameters of the lower backbone a setting names.

    Args:
        pretext (nn.Module): The pretext model.
        names (Sequence[str]): Names of the parameters in it.
        wanted (str or Sequence[str], optional): ``params`` of
            :class:`HypergradientSettings`.

    Returns:
        list[bool]: One per name.

    Raises:
        ValueError: If no parameter is named, or if a pattern is not a regular
            expression.
    """
    if wanted is None:
        return [True] * len(names)
    if wanted == 'norm':
        modules = dict(pretext.named_modules())
        found = [isinstance(modules[name.rpartition('.')[0]], _NORMS) for name in names]
    elif isinstance(wanted, str):
        raise ValueRefusal(
            f"hypergradient.params is {wanted!r}, but must be 'norm' or a list of "
            f'regular expressions, for example [{wanted!r}].'
        )
    else:
        try:
            found = [
                any(re.search(pattern, name) for pattern in wanted) for name in names
            ]
        except re.error as error:
            raise ValueRefusal(
                f'hypergradient.params: {error.pattern!r} is not a regular '
                f'expression ({error}). Correct it.'
            ) from error
    if not any(found):
        raise ValueRefusal(
            f'hypergradient.params={wanted!r} names no parameter of the lower '
            f'backbone. It has {len(names)}: {names[0]!r}, ..., '
            f'{names[-1]!r}. Write patterns that occur in these names.'
        )
    return found
