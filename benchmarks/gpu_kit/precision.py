"""What TF32 and bfloat16 do to a Hessian-vector product, and what they save."""

import argparse
import copy
from collections.abc import Callable

import torch

from bissl_mm.hypergradient import Hessian
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.models import pretext_closure

from .stage import Stage
from .steps import seconds_of

#: Images of both views in a product; those in double precision decide.
IMAGES = 32


def precision(args: argparse.Namespace, say: Callable[[dict], None]) -> None:
    """Products of ResNet-50 in float32, TF32 and bfloat16 against float64."""
    stage = Stage('resnet18' if args.quick else 'resnet50', args, IMAGES)
    for _ in range(2 if args.quick else 20):
        stage.lower_step()
    pretext = stage.model.pretext
    data = pretext.data_preprocessor(copy.copy(stage.lower), True)
    data = {k: data[k] for k in ('inputs', 'data_samples')}
    draw = torch.Generator().manual_seed(0)
    vector = tuple(
        torch.randn(p.shape, generator=draw).to(p.device)
        for p in stage.model.lower_backbone()
    )
    exact, seconds = _exact(stage, data, vector)
    say(dict(row='float64', seconds=seconds))
    repeats = 2 if args.quick else 10
    for name, tf32, dtype in (
        ('float32', False, None),
        ('TF32', True, None),
        ('bfloat16', False, torch.bfloat16),
    ):
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        operator = Hessian(
            [pretext_closure(pretext, data, 0)],
            stage.model.lower_backbone(),
            product_dtype=dtype,
        )
        found = operator(vector)
        say(
            dict(
                row=name,
                relative_error=(norm(subtract(found, exact)) / norm(exact)).item(),
                seconds=seconds_of(
                    lambda op=operator: op(vector), args.device, repeats
                ),
            )
        )
        operator.close()


def _exact(stage: Stage, data: dict, vector: tuple) -> tuple:
    """The product in double precision, in float32, and its seconds."""
    pretext = copy.deepcopy(stage.model.pretext).double()
    double = dict(data, inputs=[x.double() for x in data['inputs']])
    names = stage.model.levels.lower_names
    params = dict(pretext.named_parameters())
    operator = Hessian(
        [pretext_closure(pretext, double, 0)], tuple(params[n] for n in names)
    )
    wide = tuple(x.double() for x in vector)
    found = operator(wide)
    seconds = seconds_of(lambda: operator(wide), stage.device, 1)
    operator.close()
    return tuple(x.float() for x in found), seconds
