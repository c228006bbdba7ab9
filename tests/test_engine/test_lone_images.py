"""Contrastive losses on micro-batches of one image are zero."""

import pytest
import torch
from pretext_models import bissl_model, sgd_wrapper
from small_models import views

from bissl_mm.engine.steps.lone_images import check_parts


def batch(number=4):
    return dict(inputs=views(number), data_samples=None)


def solve(model, **settings):
    wrapper = sgd_wrapper(model, **settings)
    wrapper.begin_upper_phase(model, [batch()], seed=0)
    return wrapper.system.solve(
        tuple(torch.randn_like(p) for p in model.lower_backbone())
    )


@pytest.mark.parametrize(
    'settings, named',
    [
        (dict(hypergradient=dict(batch_size=1)), 'hypergradient.batch_size=1 leaves'),
        (
            dict(num_micro_batches=dict(hessian=4)),
            r'a batch of 4 images with num_micro_batches=dict\(hessian=4\) leaves',
        ),
        (
            dict(
                num_micro_batches=dict(hessian=2),
                hypergradient=dict(batch_size=2, solver=dict(type='RecyclingSolver')),
            ),
            r'hypergradient.batch_size=2 with num_micro_batches=dict\(hessian=2\) leaves',
        ),
        (
            dict(hypergradient=dict(batch_size=1, curvature='gauss_newton')),
            'hypergradient.batch_size=1 leaves',
        ),
    ],
)
def test_hessian_of_one_image(settings, named):
    model = bissl_model('SimCLR', torch.float32)
    with pytest.raises(
        ValueError,
        match='exactly zero, so every solver would give v_IJ = v.*'
        + named
        + ' 1 image in a part; .*at least 2',
    ):
        solve(model, **settings)
    hypergradient = dict(settings.get('hypergradient', {}))
    hypergradient.pop('batch_size', None)
    assert solve(model, hypergradient=hypergradient).num_iters > 0


@pytest.mark.parametrize('parts, size', [(4, 4), (1, 1)])
def test_lower_step_on_one_image(parts, size):
    model = bissl_model('SimCLR', torch.float32)
    wrapper = sgd_wrapper(model, num_micro_batches=dict(lower=parts))
    before = [p.clone() for p in model.pretext.parameters()]
    with pytest.raises(
        ValueError,
        match='gradient of the pretext loss is exactly zero.*leaves 1 image in a part',
    ):
        wrapper.lower_step(model, batch(size), seed=0)
    for a, b in zip(model.pretext.parameters(), before, strict=True):
        assert torch.equal(a, b)
    sgd_wrapper(model, num_micro_batches=dict(lower=2)).lower_step(
        model, batch(), seed=0
    )


def test_a_pretext_loss_without_the_backbone():
    """A loss that is zero for another reason than the number of images."""
    model = bissl_model('SimCLR', torch.float32)
    forward = model.pretext.backbone.forward
    model.pretext.backbone.forward = lambda x: tuple(y.detach() for y in forward(x))
    with pytest.raises(
        ValueError,
        match='exactly zero.*a batch of 4 images: '
        '4 images in a part.*depends on the backbone',
    ):
        solve(model)


@pytest.mark.parametrize(
    'settings, size, named',
    [
        (dict(num_micro_batches=dict(lower=8)), 8, 'the lower batch'),
        (dict(num_micro_batches=dict(hessian=8)), 8, 'the hessian batch'),
        (
            dict(hypergradient=dict(batch_size=1)),
            8,
            'hypergradient.batch_size=1 leaves',
        ),
        (dict(), 1, 'a batch of 1 image leaves'),
    ],
)
def test_known_before_training(settings, size, named):
    model = bissl_model('SimCLR', torch.float32)
    wrapper = sgd_wrapper(model, **settings)
    arguments = (wrapper.first_order, wrapper.system.config.batch_size)
    with pytest.raises(ValueError, match=named):
        check_parts(model.pretext, *arguments, size, 1)
    # The images of all processes are compared.
    check_parts(model.pretext, *arguments, size, 2)
    # Other losses, by the norms of their necks and heads.
    for kind in ('BYOL', 'Barlow Twins'):
        with pytest.raises(ValueError, match=named + ".*the batch norm '"):
            check_parts(bissl_model(kind, torch.float32).pretext, *arguments, size, 1)
    # Reconstruction needs no other image.
    check_parts(bissl_model('MAE', torch.float32).pretext, *arguments, size, 1)
