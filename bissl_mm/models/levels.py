"""The parameters of the two levels, by their part in the bilevel problem."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .backbone_map import BackbonePairs


class Levels(NamedTuple):
    r"""The parameters that the two levels share or own.

    ``theta_p`` and ``theta_d`` are the trained backbones, pair by pair.
    ``lower_names`` and ``upper_names`` are their names in the pretext and in the
    downstream model. ``phi_p`` and ``phi_d`` are the trained heads, which are
    all parameters without a partner.
    """

    lower_names: tuple[str, ...]
    upper_names: tuple[str, ...]
    head_names: tuple[str, ...]
    theta_p: tuple[Tensor, ...]
    theta_d: tuple[Tensor, ...]
    phi_p: tuple[Tensor, ...]
    phi_d: tuple[Tensor, ...]


def freeze_as_trained(pretext: nn.Module, downstream: nn.Module) -> None:
    """Let ``requires_grad`` say what will be trained, before parameters are listed.

    Swin, MobileNet and others freeze their first stages in ``train``, not when they are
    built. A generator of targets (BEiT's tokenizer) has no gradient, so only weight
    decay would change it.

    Args:
        pretext (nn.Module): Its frozen parameters change their ``requires_grad``.
        downstream (nn.Module): Likewise.
    """
    for model in (pretext, downstream):
        model.train(model.training)
    generator = getattr(pretext, 'target_generator', None)
    if isinstance(generator, nn.Module):
        generator.requires_grad_(False)


def levels_of(
    pretext: nn.Module, downstream: nn.Module, pairs: BackbonePairs
) -> Levels:
    """List the parameters of both models.

    Args:
        pretext (nn.Module): The pretext model.
        downstream (nn.Module): The downstream model.
        pairs (BackbonePairs): Which parameters correspond.
    """
    lower = dict(pretext.named_parameters())
    upper = dict(downstream.named_parameters())
    partners = {name for name, _ in pairs.all}
    paired = {name for _, name in pairs.all}
    heads = [
        name for name, p in upper.items() if name not in paired and p.requires_grad
    ]
    names = [[pair[level] for pair in pairs.params] for level in (0, 1)]
    return Levels(
        tuple(names[0]),
        tuple(names[1]),
        tuple(heads),
        tuple(lower[name] for name in names[0]),
        tuple(upper[name] for name in names[1]),
        tuple(
            p for name, p in lower.items() if name not in partners and p.requires_grad
        ),
        tuple(upper[name] for name in heads),
    )


def exchanged(
    model: nn.Module, other: nn.Module, pairs: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    """Parameters and copies of the buffers of a model, with those of another one
    for the first name of each pair."""
    theirs = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    state = dict(model.named_parameters())
    buffers = dict(model.named_buffers())
    for own_name, name in pairs:
        (buffers if own_name in buffers else state)[own_name] = theirs[name]
    return state | {k: b.detach().clone() for k, b in buffers.items()}
