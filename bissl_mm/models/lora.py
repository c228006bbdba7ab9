"""Low-rank adapters of a backbone, the only weights of it that are trained."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.wrappers import Conv2d, Linear
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ..utils.check import check_keys, check_non_negative, check_positive_int
from ..utils.errors import TypeRefusal, ValueRefusal
from ..utils.target_networks import target_names
from .backbone_map import BackboneMap

#: Ends of the adapters' names.
ENDS = ('.lora_a', '.lora_b')

#: Methods of layers that an adapted layer computes like. mmcv's differ from torch's
#: for empty inputs of old versions of torch alone.
_PLAIN = (
    nn.Linear.forward,
    nn.Conv2d.forward,
    nn.Conv2d._conv_forward,
    Linear.forward,
    Conv2d.forward,
)


class _Adapted:
    r"""A layer whose weight is :math:`W + s B A`."""

    weight: Tensor
    bias: Tensor | None
    lora_a: Tensor
    lora_b: Tensor
    lora_scale: float

    @property
    def adapted_weight(self) -> Tensor:
        """The weight that the layer computes with, of its shape."""
        change = (self.lora_b @ self.lora_a).view_as(self.weight)
        return self.weight + self.lora_scale * change


class LoraLinear(_Adapted, nn.Linear):
    """A linear layer with an adapter."""

    def forward(self, x: Tensor) -> Tensor:
        """See ``nn.Linear``."""
        return F.linear(x, self.adapted_weight, self.bias)


class LoraConv2d(_Adapted, nn.Conv2d):
    """A convolution with an adapter; its kernels are rows of a matrix."""

    def forward(self, x: Tensor) -> Tensor:
        """See ``nn.Conv2d``."""
        return self._conv_forward(x, self.adapted_weight, self.bias)


@check_keys
class Lora:
    r"""Adapters on both levels: of each backbone weight W only
    :math:`\frac{\alpha}{r} B A` is trained.

    A has r rows and begins at random; B has r columns and begins at zero, so that
    the network begins unchanged. All other parameters of both backbones are
    fixed. :math:`\theta_P` and :math:`\theta_D` are then the adapters, so the
    regularizer and the operator of the implicit Jacobian act on them alone. The
    heads are trained whole.

    Args:
        rank (int): r. Defaults to 4.
        alpha (float, optional): :math:`\alpha`. Defaults to None: r.
        targets (Sequence[str], optional): Regular expressions, searched for in
            the pretext model's names of linear layers and convolutions.
            Defaults to None: all in the backbone.

    Raises:
        ValueError: For a setting out of its range.
        TypeError: If ``targets`` is no list.

    Source:
        Hu et al. 2022, section 4.1.
    """

    def __init__(
        self,
        rank: int = 4,
        alpha: float | None = None,
        targets: Sequence[str] | None = None,
    ) -> None:
        check_positive_int('model.lora', 'rank', rank)
        alpha = float(rank) if alpha is None else alpha
        check_non_negative('model.lora', 'alpha', alpha)
        if not alpha:
            raise ValueRefusal(
                'model.lora: alpha=0 leaves the adapters without effect. Set it to '
                f'{rank}, the rank.'
            )
        if targets is not None and (
            not isinstance(targets, (list, tuple))
            or not all(isinstance(t, str) for t in targets)
        ):
            raise TypeRefusal(
                'model.lora: targets must be a list of regular expressions, but is '
                f"{targets!r}. Write ['layer4'], for example."
            )
        self.rank, self.scale = rank, alpha / rank
        self.targets = targets

    def add_to(
        self, pretext: nn.Module, downstream: nn.Module, backbone_map: BackboneMap
    ) -> None:
        """Give the layers of both backbones adapters, and fix the rest of them.

        Args:
            pretext (nn.Module): Changed.
            downstream (nn.Module): Changed.
            backbone_map (BackboneMap): Pairs the two backbones.

        Raises:
            TypeError: If the pretext model has a target network, which would not
                follow the adapters.
            ValueError: If no layer is named, or one on which an adapter cannot
                act.
        """
        for name in target_names(pretext):
            raise TypeRefusal(
                f"model.lora: '{name}' of {type(pretext).__name__} is a target "
                'network, which would not follow the adapters. Set a pretext '
                'task without one, for example bissl_mm.SimCLR.'
            )
        layers = [
            (name, partner)
            for name, module in pretext.named_modules()
            if (partner := backbone_map.partner_of(name)) and _is_layer(module)
        ]
        chosen = [pair for pair in layers if self._is_target(pair[0])]
        if not chosen:
            raise ValueRefusal(
                f'model.lora: targets={self.targets!r} names none of the '
                f'{len(layers)} linear layers and convolutions of the pretext '
                f'backbone{f" ({layers[0][0]!r}, ...)" if layers else ""}. Write '
                'expressions that occur in their names.'
            )
        sides = ((pretext, 0), (downstream, 1))
        for model, side in sides:
            for names in chosen:
                _check_layer(model, names[side])
        for model, side in sides:
            for names in chosen:
                self.adapt(model.get_submodule(names[side]))
        partners = {
            backbone_map.partner_of(name): name
            for name, _ in pretext.named_parameters()
        }
        for model, own in (
            (pretext, lambda name: bool(backbone_map.partner_of(name))),
            (downstream, lambda name: name in partners),
        ):
            for name, param in model.named_parameters():
                if own(name):
                    param.requires_grad_(is_adapter(name))

    def _is_target(self, name: str) -> bool:
        if self.targets is None:
            return True
        try:
            return any(re.search(pattern, name) for pattern in self.targets)
        except re.error as error:
            raise ValueRefusal(
                f'model.lora: targets has {error.pattern!r}, which is not a regular '
                f'expression ({error}). Correct it.'
            ) from error

    def adapt(self, layer: Any) -> None:
        """Give one linear layer or convolution its adapter."""
        weight = layer.weight
        outputs, inputs = len(weight), weight[0].numel()
        kinds: dict[bool, Any] = {True: LoraConv2d, False: LoraLinear}
        layer.__class__ = kinds[isinstance(layer, nn.Conv2d)]
        layer.lora_a = nn.Parameter(weight.new_empty(self.rank, inputs))
        layer.lora_b = nn.Parameter(weight.new_zeros(outputs, self.rank))
        nn.init.kaiming_uniform_(layer.lora_a, a=math.sqrt(5))
        layer.lora_scale = self.scale


def _is_layer(module: nn.Module) -> bool:
    # Of attention's last layer, torch reads the weight past its forward method.
    return isinstance(module, (nn.Linear, nn.Conv2d)) and not isinstance(
        module, NonDynamicallyQuantizableLinear
    )


def _check_layer(model: nn.Module, name: str) -> None:
    """Refuse a layer that computes something else than an adapted one."""
    layer: Any = model.get_submodule(name)
    owner, _, own_name = name.rpartition('.')
    parent = model.get_submodule(owner)
    kind = 'convolution' if isinstance(layer, nn.Conv2d) else 'linear layer'
    if not _is_plain(layer):
        reason = (
            f'is a {type(layer).__name__}, which computes something else than a plain '
            f'{kind}, and with an adapter it would compute like a plain one'
        )
    # Attention of BEiT and of Swin v2 holds the biases of these layers itself.
    elif own_name in ('q', 'k', 'v', 'qkv') and hasattr(parent, 'q_bias'):
        reason = (
            f'is a {kind} whose weight {type(parent).__name__} reads itself, so that '
            'an adapter would have no effect'
        )
    # There torch's encoder layer calls one fused function, since all of the weights
    # that it knows are fixed.
    elif (
        own_name in ('linear1', 'linear2')
        and isinstance(parent, nn.TransformerEncoderLayer)
        and parent.self_attn.batch_first
    ):
        reason = (
            f'is a {kind} whose weight {type(parent).__name__} with batch_first=True '
            'reads itself in evaluation, where an adapter would have no effect'
        )
    else:
        return
    raise ValueRefusal(
        f"model.lora: '{name}' of {type(model).__name__} {reason}. Set targets to "
        'expressions that occur in the names of other layers only.'
    )


def _is_plain(layer: Any) -> bool:
    methods = [layer.forward]
    if isinstance(layer, nn.Conv2d):
        methods.append(layer._conv_forward)
    # A normalised weight is computed from other parameters.
    return 'weight' in layer._parameters and all(
        getattr(method, '__func__', None) in _PLAIN for method in methods
    )


def is_adapter(name: str) -> bool:
    """Whether a tensor's name is that of an adapter."""
    return name.endswith(ENDS)


@torch.no_grad()
def merged(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the adapters added to the weights, and without them.

    Args:
        model (nn.Module): Has the layers.
        state (dict[str, Tensor]): Tensors by the names of the model; not changed.
    """
    found = {name: tensor for name, tensor in state.items() if not is_adapter(name)}
    for name, layer in model.named_modules():
        if isinstance(layer, _Adapted):
            a, b = (state[f'{name}{end}'] for end in ENDS)
            weight = state[f'{name}.weight']
            found[f'{name}.weight'] = weight + layer.lora_scale * (b @ a).view_as(
                weight
            )
    return found
