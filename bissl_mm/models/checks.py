"""Refuse models that the bilevel stage cannot work with."""

from torch import nn

from ..utils.errors import TypeRefusal, ValueRefusal

#: Classes that exchange outputs between processes without a second derivative
#: -> the class to use instead.
_WRONG_ON_SEVERAL = {
    'mmpretrain.models.selfsup.simclr.SimCLR': 'bissl_mm.SimCLR',
    'mmpretrain.models.heads.latent_heads.LatentCrossCorrelationHead': 'bissl_mm.CrossCorrelationHead',
}
#: Classes whose loss cannot be differentiated twice -> the reason.
_REFUSED = {
    'mmpretrain.models.selfsup.swav.SwAV': 'normalises its prototypes, which are parameters, in place in every '
    'forward pass'
}


def check_differentiable(
    pretext: nn.Module, downstream: nn.Module, num_processes: int = 1
) -> None:
    """Refuse layers through which the hypergradient cannot be computed.

    The pretext model is differentiated twice, which torch's and mmcv's
    ``SyncBatchNorm`` do not support. Both models are differentiated by
    ``torch.autograd.grad``, which re-entrant activation checkpointing does not
    support.

    Raises:
        TypeError: Naming the first such layer.
    """
    for kind in type(pretext).__mro__:
        reason = _REFUSED.get(f'{kind.__module__}.{kind.__name__}')
        if reason:
            raise TypeRefusal(
                f"pretext model: mmpretrain's {kind.__name__} {reason}. A "
                'Hessian-vector product would change the model. Use another '
                'pretext task, for example bissl_mm.SimCLR or bissl_mm.BYOL.'
            )
    for name, module in pretext.named_modules():
        kind = type(module)
        better = _WRONG_ON_SEVERAL.get(f'{kind.__module__}.{kind.__name__}')
        if better and num_processes > 1:
            raise TypeRefusal(
                f"pretext model: '{name or 'the model'}' is mmpretrain's "
                f'{kind.__name__}, whose gradient and Hessian on '
                f'{num_processes} processes are not those of one process on '
                f"all data. Use type='{better}'."
            )
        if kind.__name__ == 'SyncBatchNorm':
            raise TypeRefusal(
                f"pretext model: '{name}' is a {kind.__module__}."
                'SyncBatchNorm, which has no second derivative, so there is '
                'no Hessian. Use norm_cfg=dict(type='
                "'bissl_mm.DifferentiableSyncBN') (statistics over all "
                "processes) or dict(type='BN') (of each process). "
                'model.sync_norms=True or False also replaces the layers.'
            )
    for level, model in (('pretext', pretext), ('downstream', downstream)):
        for name, module in model.named_modules():
            if getattr(module, 'with_cp', False) or _is_checkpointed(module):
                raise TypeRefusal(
                    f"{level} model: '{name}' ({type(module).__name__}) uses "
                    're-entrant activation checkpointing (with_cp=True, or '
                    'activation_checkpointing in the config). '
                    'torch.autograd.grad cannot differentiate through it. Switch '
                    f'it off in the {level} model.'
                )


def _is_checkpointed(module: nn.Module) -> bool:
    """Whether mmengine's ``activation_checkpointing`` wrapped its forward."""
    forward = vars(module).get('forward')
    scope = getattr(forward, '__globals__', {})
    return scope.get('__name__') == 'mmengine.runner.activation_checkpointing'


def check_num_classes(model: nn.Module, metainfo: dict) -> None:
    """Refuse a head for another number of classes than the data have.

    Args:
        model (nn.Module): The downstream model. Heads whose name contains
            ``rpn`` are not checked, because they tell object from background.
        metainfo (dict): The ``metainfo`` of the dataset. Without ``classes``
            nothing is checked.

    Raises:
        ValueError: Naming the head, both numbers and the remedy.
    """
    classes = metainfo.get('classes')
    if not classes:
        return
    for name, module in model.named_modules():
        number = getattr(module, 'num_classes', None)
        if (
            not isinstance(number, int)
            or number == len(classes)
            or 'head' not in name
            or 'rpn' in name
        ):
            continue
        raise ValueRefusal(
            f"'{name}' has num_classes={number}, but the training data have "
            f'{len(classes)} classes ({", ".join(map(str, classes[:5]))}'
            f'{", ..." if len(classes) > 5 else ""}). Set num_classes='
            f'{len(classes)} in the config, for example with --cfg-options.'
        )


#: Layers with a kink, by the names of their classes. Functions called in a
#: forward method are not seen.
_KINKED = (
    'AdaptiveMaxPool2d',
    'Hardsigmoid',
    'Hardswish',
    'Hardtanh',
    'LeakyReLU',
    'MaxPool2d',
    'PReLU',
    'ReLU',
    'ReLU6',
    'Threshold',
)


def kinks_note(model: nn.Module) -> str | None:
    """What differences of gradients get wrong in a model; None where it looks
    smooth.

    Args:
        model (nn.Module): The pretext model.
    """
    found = [n for n, m in model.named_modules() if type(m).__name__ in _KINKED]
    if not found:
        return None
    others = f' and {len(found) - 1} more' if len(found) > 1 else ''
    kind = type(dict(model.named_modules())[found[0]]).__name__
    return (
        f"hypergradient.curvature='differences' is for smooth networks, but "
        f'{found[0]!r}{others} of the pretext model have kinks ({kind}): products '
        "can be off by more than their length. Take 'hessian', or layers such as "
        'GELU.'
    )
