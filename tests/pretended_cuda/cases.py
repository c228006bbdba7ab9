"""One alternation on the pretended device and on the CPU."""

import copy
from collections import Counter
from typing import Any
from unittest import mock

import pretext_models
import torch
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch import nn

from bissl_mm.engine import BiSSLOptimWrapperConstructor
from bissl_mm.engine.distributed import PlainDistributedModel
from bissl_mm.registry import MODELS
from bissl_mm.utils.random import fold_seed

from .mode import PretendedCuda
from .tensor import OnCuda

#: Mean and deviation of the images' pixels.
_PIXELS = dict(mean=[127.0] * 3, std=[60.0] * 3)
_IMAGES, _CLASSES = 4, 3
NAMES = ('lower', 'first lower', 'begin', 'upper', 'first upper')


def model_of(pretext: str, norm: str, **kwargs) -> nn.Module:
    """A small ``BiSSLModel`` in training mode, in single precision."""
    if pretext == 'simclr':
        cfg = pretext_models.simclr_cfg(norm=norm, **kwargs)
    else:
        cfg = getattr(pretext_models, pretext)(**kwargs)
    if pretext != 'mae':
        # A few layers are enough, and each costs time.
        small = dict(type='bissl_mm.SmallResNet', base_channels=4)
        cfg['backbone'] = dict(small, norm_cfg=dict(type=norm))
    cfg['data_preprocessor'] = dict(type='SelfSupDataPreprocessor', **_PIXELS)
    if pretext == 'mae':
        backbone = dict(
            type='VisionTransformer',
            arch=pretext_models.VIT,
            img_size=24,
            patch_size=8,
            out_type='cls_token',
        )
        neck, width = None, 16
    else:
        backbone, neck, width = cfg['backbone'], dict(type='GlobalAveragePooling'), 32
    downstream = dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        data_preprocessor=dict(type='ClsDataPreprocessor', **_PIXELS),
        backbone=backbone,
        neck=neck,
        head=dict(
            type='LinearClsHead',
            num_classes=_CLASSES,
            in_channels=width,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='bissl_mm.BiSSLModel',
            pretext=cfg,
            downstream=downstream,
            backbone_map=dict(frozen='fix') if pretext == 'mae' else None,
        )
    ).train()
    model.init_weights()
    # At its start a residual block is at a kink.
    with torch.no_grad():
        for param in model.parameters():
            param.add_(0.02 * torch.randn_like(param))
    model.copy_backbone_to_upper()
    return model


def wrapper_of(model: nn.Module, settings: dict[str, Any]):
    """Its optimizers, as in the shipped configs but for ``settings``."""
    settings = copy.deepcopy(settings)
    # A strongly damped system amplifies no rounding.
    hypergradient = dict(
        dict(damping=1e3, check_residual='never'), **settings.pop('hypergradient', {})
    )
    lars = dict(type='bissl_mm.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6)
    sgd = dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001)
    return BiSSLOptimWrapperConstructor(
        dict(
            type='bissl_mm.BiSSLOptimWrapper',
            lower=dict(optimizer=lars),
            upper=dict(optimizer=sgd),
            hypergradient=hypergradient,
            **settings,
        )
    )(model)


def _images(seed: int, number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (number, 3, 24, 24)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def lower_batch(step: int, views: int) -> dict:
    """As :func:`default_collate` gives it."""
    inputs = [_images(10 * step + i, _IMAGES) for i in range(views)]
    samples = [DataSample() for _ in range(_IMAGES)]
    return dict(inputs=inputs if views > 1 else inputs[0], data_samples=samples)


def upper_batch(step: int) -> dict:
    """As the stream of the upper level gives it."""
    samples = [DataSample().set_gt_label(i % _CLASSES) for i in range(_IMAGES)]
    return dict(inputs=_images(1000 + step, _IMAGES), data_samples=samples)


def alternation(model, wrapper, views: int, mark) -> list[dict[str, float]]:
    """Two lower steps, an upper phase of two steps; ``mark`` gets their names."""
    logs = []
    for i, name in enumerate(('first lower', 'lower')):
        mark(name)
        logs.append(wrapper.lower_step(model, lower_batch(i, views), i))
    mark('begin')
    wrapper.begin_upper_phase(model, [lower_batch(5, views)], 7)
    for i, name in enumerate(('first upper', 'upper')):
        mark(name)
        logs.append(wrapper.upper_step(model, upper_batch(i), fold_seed(i)))
    mark('end')
    wrapper.end_upper_phase()
    return logs


def _values(model: nn.Module) -> dict[str, torch.Tensor]:
    state = model.state_dict()
    return {
        key: (value.elem if isinstance(value, OnCuda) else value).detach().clone()
        for key, value in state.items()
    }


def _pretend_ranks(number: int) -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group(
        'fake', store=FakeStore(), rank=0, world_size=number
    )


def run_case(
    pretext: str = 'simclr',
    norm: str = 'BN',
    ranks: int = 1,
    model: dict | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """An alternation on the pretended device and, of one rank, on the CPU.

    Args:
        pretext (str): Name of a function of ``pretext_models``.
        norm (str): Type of SimCLR's batch norms.
        ranks (int): Of how many processes this one is the first. If not 1, what
            the others send is a copy, and there are no values to compare.
        model (dict, optional): Other settings of the pretext model.
        settings: Of the optim wrapper.

    Returns:
        dict: ``waits`` (phase -> place -> number), ``collectives`` (likewise),
        ``iters`` of the solves, ``without_kernel``, ``device``, and ``difference`` of the weights relative
        to how far they moved.
    """
    views = 1 if pretext == 'mae' else 2
    mode, marks, states = PretendedCuda(), [], {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = model_of(pretext, norm, **(model or {}))
        start = _values(built)
        reference = copy.deepcopy(built)
        with mode if ranks == 1 else _Ranks(mode, ranks):
            own = built.to('cuda')
            if ranks > 1:
                PlainDistributedModel(own)
            # A parameter of the regularizer cannot be moved here, as its class
            # would have to change.
            with torch.device('cuda'):
                wrapper = wrapper_of(own, settings)

            def mark(name):
                marks.append((name, len(mode.waits), Counter(mode.collectives)))

            logs = alternation(own, wrapper, views, mark)
            device = str(next(own.parameters()).device)
        states['cuda'] = _values(own)
        if ranks == 1:
            alternation(reference, wrapper_of(reference, settings), views, print_not)
            states['cpu'] = _values(reference)
    result = dict(
        waits={
            name: dict(Counter(where for _, where in mode.waits[i:j]))
            for (name, i, _), (_, j, _) in zip(marks, marks[1:])
        },
        collectives={
            name: sum((after - before).values())
            for (name, _, before), (_, _, after) in zip(marks, marks[1:])
        },
        iters=[log['iters'] for log in logs if 'iters' in log],
        without_kernel=sorted(mode.without_kernel),
        device=device,
    )
    if ranks == 1:
        result['difference'] = _difference(states['cuda'], states['cpu'], start)
    return result


def print_not(name: str) -> None:
    """A mark that is not noted."""


def _difference(found, expected, start) -> float:
    def length(of, by):
        squares = [(of[k].double() - by[k].double()).square().sum() for k in by]
        return torch.stack(squares).sum().sqrt().item()

    return length(found, expected) / length(expected, start)


class _Ranks:
    """The mode, and a process group that says ``nccl``."""

    def __init__(self, mode: PretendedCuda, number: int) -> None:
        self.mode, self.number = mode, number

    def __enter__(self):
        _pretend_ranks(self.number)
        self._patch = mock.patch.object(
            torch.distributed, 'get_backend', lambda group=None: 'nccl'
        )
        self._patch.start()
        return self.mode.__enter__()

    def __exit__(self, *exc):
        self.mode.__exit__(*exc)
        self._patch.stop()
        torch.distributed.destroy_process_group()
