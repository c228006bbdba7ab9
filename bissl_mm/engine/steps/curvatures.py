"""The losses of an upper phase, and the curvature that the settings ask for."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from ...datasets.batch_parts import first_samples
from ...hypergradient import Curvature, Differences, Fisher, GaussNewton, Hessian
from ...models.bissl_model import BiSSLModel
from ...models.losses.functional import PretextLossWithState, pretext_closure
from ...models.losses.outputs import pretext_outputs_closure
from ...utils.random import seeded
from ..distributed import mean_over_ranks
from .gradients import FirstOrder, part_seed
from .head_at_upper import losses_at_upper
from .lone_images import count_images
from .parts import device_of
from .settings import HypergradientSettings

#: Setting -> how the pretext loss becomes a function, and the operator of it.
_CURVATURES = dict(
    hessian=(pretext_closure, Hessian),
    gauss_newton=(pretext_outputs_closure, GaussNewton),
    differences=(partial(pretext_closure, derived_twice=False), Differences),
    fisher=(partial(pretext_closure, derived_twice=False), Fisher),
)


class PhaseLosses(NamedTuple):
    r"""The pretext losses of one upper phase, one for each part of its batches.

    ``closures`` are at :math:`\theta_P`, and ``at_upper`` at :math:`\theta_D` if
    ``head_weight`` asks for them. ``parts`` are the preprocessed batches.
    ``num_images`` is that of the last batch.
    """

    parts: list[dict]
    closures: list[Callable[[], Any]]
    at_upper: list[PretextLossWithState]
    num_images: int


def losses_of(
    model: BiSSLModel,
    batches: Sequence[dict],
    seed: int,
    first_order: FirstOrder,
    config: HypergradientSettings,
) -> PhaseLosses:
    """Cut and preprocess the batches, and make functions of them.

    Args:
        model (BiSSLModel): The functions are of its parameters.
        batches (Sequence[dict]): Pretext batches of this rank.
        seed (int): Seed of the random draws.
        first_order (FirstOrder): Cuts and preprocesses the batches.
        config (HypergradientSettings): The settings.
    """
    pretext = model.pretext
    make_closure, make_curvature = _CURVATURES[config.curvature]
    found = PhaseLosses([], [], [], 0)
    for batch in batches:
        if config.batch_size is not None:
            batch = first_samples(batch, config.batch_size)
        with seeded(seed, device_of(pretext)):
            parts = first_order.prepare(pretext, 'hessian', batch)
        found.parts.extend(parts)
        found.closures.extend(
            make_closure(pretext, data, part_seed(seed, i))
            for i, data in enumerate(parts)
        )
        if config.head_weight:
            twice = make_curvature is not Differences
            found.at_upper.extend(losses_at_upper(model, parts, seed, twice))
    return found._replace(num_images=count_images(batch))


def curvature_maker(
    config: HypergradientSettings, num_parts: int
) -> Callable[..., Curvature]:
    """What makes a curvature of closures and leaves.

    Args:
        config (HypergradientSettings): The settings.
        num_parts (int): Parts of a Hessian batch. With several, no graph is
            kept.
    """
    make_curvature: Any = _CURVATURES[config.curvature][1]
    if make_curvature is Differences:
        make_curvature = partial(Differences, step=config.difference_step)
    return partial(
        make_curvature,
        mean_over_ranks=mean_over_ranks,
        keep_graphs=config.keep_graph and num_parts == 1,
        product_dtype=torch.bfloat16 if config.dtype == 'bfloat16' else None,
        product_tf32=config.dtype == 'tf32',
        second_order=config.second_order,
        small_image_kernels=config.small_image_kernels,
    )
