"""What TF32 and bfloat16 do to a Hessian-vector product, and what they save."""

import argparse
import copy
from collections.abc import Callable

import torch

from bissl_mm.hypergradient import Hessian
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.models import pretext_closure

from .stage import Stage
from .steps import networks, seconds_of

#: Images of a product, two views each; double precision takes long.
IMAGES = 64
Say = Callable[[dict], None]


def precision(args: argparse.Namespace, say: Say) -> None:
    """Products with each setting of ``hypergradient.dtype`` against float64, and
    a lower step with torch's own TF32 on and off."""
    stage = Stage(networks(args)[0], args, IMAGES)
    repeats = 2 if args.quick else 10
    for _ in range(2 if args.quick else 20):
        stage.lower_step()
    draw = torch.Generator().manual_seed(0)
    vector = tuple(
        torch.randn(p.shape, generator=draw).to(p.device)
        for p in stage.model.lower_backbone()
    )
    exact, seconds = exact_product(stage, vector)
    say(dict(row='product, float64', seconds=seconds))
    # Last without TF32 in the whole process: float32 must be no nearer then.
    for dtype, allowed in (
        (None, True),
        ('tf32', True),
        ('bfloat16', True),
        (None, False),
    ):
        torch.backends.cudnn.allow_tf32 = allowed
        stage.wrapper = stage.make_wrapper(dtype=dtype)
        stage.begin()
        product = stage.wrapper.system.curvature_operator
        found = product(vector)
        error = (norm(subtract(found, exact)) / norm(exact)).item()
        seconds = seconds_of(lambda f=product: f(vector), args.device, repeats)
        say(
            dict(
                row=f'product, dtype={dtype}, cudnn.allow_tf32={allowed}',
                relative_error=error,
                seconds=seconds,
            )
        )
        stage.end()
    for allowed in (True, False):
        torch.backends.cudnn.allow_tf32 = allowed
        seconds = seconds_of(stage.lower_step, args.device, repeats)
        say(dict(row=f'lower step, cudnn.allow_tf32={allowed}', seconds=seconds))


def exact_product(stage: Stage, vector: tuple) -> tuple:
    """The product in double precision, in float32, and its seconds."""
    data = stage.model.pretext.data_preprocessor(copy.copy(stage.lower), True)
    double = dict(data, inputs=[x.double() for x in data['inputs']])
    pretext = copy.deepcopy(stage.model.pretext).double()
    params = dict(pretext.named_parameters())
    operator = Hessian(
        # The seed is that of the stage's phases.
        [pretext_closure(pretext, double, 2)],
        tuple(params[name] for name in stage.model.levels.lower_names),
    )
    wide = tuple(x.double() for x in vector)
    found = operator(wide)
    seconds = seconds_of(lambda: operator(wide), stage.device, 1)
    operator.close()
    return tuple(x.float() for x in found), seconds
