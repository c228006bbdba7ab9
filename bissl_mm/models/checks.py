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

#: mmpretrain's necks that assert that the backbone has one output.
_OF_ONE_OUTPUT = {'DenseCLNeck', 'MoCoV2Neck', 'NonLinearNeck'}

#: What needs no second derivative, after a refusal for want of one.
_WAY_OUT = (
    'Or, in a network that is smooth throughout, set optim_wrapper.hypergradient.'
    "curvature='differences', which needs no second derivative."
)


def check_differentiable(
    pretext: nn.Module,
    downstream: nn.Module,
    num_processes: int = 1,
    curvature: str = 'hessian',
) -> None:
    """Refuse layers through which the hypergradient cannot be computed.

    The pretext model is differentiated twice, unless the curvature is by
    differences. torch's and mmcv's ``SyncBatchNorm`` and compiled modules do not
    support it, and neither does re-entrant activation checkpointing. In the
    downstream model a checkpointed layer would be repeated with the other
    backbone's weights.

    Args:
        pretext (nn.Module): The pretext model.
        downstream (nn.Module): The downstream model.
        num_processes (int): Processes of the run. Defaults to 1.
        curvature (str): ``hypergradient.curvature``. Defaults to
            ``'hessian'``.

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
        if curvature not in ('differences', 'fisher'):
            _check_second_derivative(name, module)
    for name, module in downstream.named_modules():
        _refuse_checkpoint('downstream', name, module)


def _check_second_derivative(name: str, module: nn.Module) -> None:
    kind = type(module)
    if kind.__name__ == 'SyncBatchNorm':
        raise TypeRefusal(
            f"pretext model: '{name}' is a {kind.__module__}."
            'SyncBatchNorm, which has no second derivative, so there is '
            'no Hessian. Use norm_cfg=dict(type='
            "'bissl_mm.DifferentiableSyncBN') (statistics over all "
            "processes) or dict(type='BN') (of each process). "
            'model.sync_norms=True or False also replaces the layers. ' + _WAY_OUT
        )
    if any(base.__name__ == 'SyncBatchNorm' for base in kind.__mro__):
        raise TypeRefusal(
            f"pretext model: '{name}' is a {kind.__name__}, whose statistics over all "
            'processes have no second derivative, so there is no Hessian. Use the same '
            "norm with each process's own statistics (of mmpretrain's "
            'SparseSyncBatchNorm2d this is SparseBatchNorm2d). ' + _WAY_OUT
        )
    if kind.__name__ == 'OptimizedModule' or getattr(
        module, '_compiled_call_impl', None
    ):
        raise TypeRefusal(
            f"pretext model: '{name or 'the model'}' ({kind.__name__}) is compiled, "
            'and torch.compile has no second derivative. Do not compile it. ' + _WAY_OUT
        )
    _refuse_checkpoint('pretext', name, module, ' ' + _WAY_OUT)


def _refuse_checkpoint(
    level: str, name: str, module: nn.Module, way_out: str = ''
) -> None:
    if getattr(module, 'with_cp', False) or _is_checkpointed(module):
        raise TypeRefusal(
            f"{level} model: '{name}' ({type(module).__name__}) uses "
            're-entrant activation checkpointing (with_cp=True, or '
            'activation_checkpointing in the config). '
            'torch.autograd.grad cannot differentiate through it. Switch '
            f'it off in the {level} model.{way_out}'
        )


def _is_checkpointed(module: nn.Module) -> bool:
    """Whether mmengine's ``activation_checkpointing`` wrapped its forward."""
    forward = vars(module).get('forward')
    scope = getattr(forward, '__globals__', {})
    return scope.get('__name__') == 'mmengine.runner.activation_checkpointing'


def check_outputs(pretext: nn.Module) -> None:
    """Refuse a backbone with several outputs before a neck that takes one.

    Backbones of detectors and segmentors have several. mmpretrain's necks then end in
    an assertion without a text.

    Args:
        pretext (nn.Module): The pretext model.

    Raises:
        ValueError: Naming the outputs, the neck and the remedy.
    """
    neck = getattr(pretext, 'neck', None)
    backbone = getattr(pretext, 'backbone', None)
    outputs = getattr(backbone, 'out_indices', None)
    kinds = {kind.__name__ for kind in type(neck).__mro__}
    if (
        not isinstance(outputs, (list, tuple))
        or len(outputs) < 2
        or not kinds & _OF_ONE_OUTPUT
    ):
        return
    raise ValueRefusal(
        f'pretext model: its backbone ({type(backbone).__name__}) has out_indices='
        f'{list(outputs)}, but its neck ({type(neck).__name__}) takes one output. Set '
        f'model.pretext.backbone.out_indices=[{outputs[-1]}]. The downstream backbone '
        'keeps its own.'
    )


def check_teacher(downstream: nn.Module) -> None:
    """Refuse mmdet's semi-supervised detectors.

    Args:
        downstream (nn.Module): The downstream model.

    Raises:
        TypeError: Naming the model and the remedy.
    """
    if any(kind.__name__ == 'SemiBaseDetector' for kind in type(downstream).__mro__):
        raise TypeRefusal(
            f'downstream model: {type(downstream).__name__} has a teacher, which only '
            "mmdet's MeanTeacherHook moves, and the stage has no such hook, so the "
            'teacher would keep its random weights. Take the detector itself: write '
            'what is in model.downstream.detector as model.downstream, and fine-tune '
            f'with {type(downstream).__name__} after the stage.'
        )


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


#: Layers with a kink, by the names of their classes or of classes that they derive
#: from. Functions called in a forward method are not seen.
_KINKED = {
    *('AdaptiveMaxPool1d', 'AdaptiveMaxPool2d', 'AdaptiveMaxPool3d'),
    *('FractionalMaxPool2d', 'FractionalMaxPool3d'),
    *('MaxPool1d', 'MaxPool2d', 'MaxPool3d'),
    *('Hardshrink', 'Hardsigmoid', 'Hardswish', 'Hardtanh', 'HSigmoid', 'HSwish'),
    *('LeakyReLU', 'PReLU', 'ReLU', 'ReLU6', 'RReLU', 'Softshrink', 'Threshold'),
    *('HingeEmbeddingLoss', 'L1Loss', 'MarginRankingLoss', 'TripletMarginLoss'),
}


def kinks_note(model: nn.Module) -> str | None:
    """What differences of gradients get wrong in a model; None where it looks
    smooth.

    Args:
        model (nn.Module): The pretext model.
    """
    found = [(n, m) for n, m in model.named_modules() if _has_kinks(m)]
    if not found:
        return None
    others = f' and {len(found) - 1} more' if len(found) > 1 else ''
    name, module = found[0]
    return (
        f"hypergradient.curvature='differences' is for smooth networks, but "
        f'{name!r}{others} of the pretext model have kinks ({type(module).__name__}): '
        "products can be off by more than their length. Take 'hessian', or layers "
        'such as GELU.'
    )


def _has_kinks(module: nn.Module) -> bool:
    return any(kind.__name__ in _KINKED for kind in type(module).__mro__)
