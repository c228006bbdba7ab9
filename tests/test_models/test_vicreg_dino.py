"""The losses of VICReg and DINO, written out."""

import pytest
import torch
from pretext_models import build, dino, vicreg
from small_models import views

from bissl_mm.models import DifferentiableSyncBatchNorm
from bissl_mm.models.pretext import DINO, DINONeck, VICRegHead


@pytest.fixture(autouse=True)
def scope():
    from mmengine.registry import init_default_scope

    init_default_scope('mmpretrain')


def test_vicreg_is_its_formula():
    torch.manual_seed(0)
    first, second = torch.randn(2, 5, 4, dtype=torch.float64).unbind(0)
    # One column that varies more than 1, so that the hinge has both sides.
    first = first * torch.tensor([3.0, 0.2, 0.3, 0.4])
    found = VICRegHead(2.0, 3.0, 5.0, eps=1e-3).loss(first, second)
    n, d = first.shape
    sim = sum((first[i, j] - second[i, j]) ** 2 for i in range(n) for j in range(d))
    var, cov = 0.0, 0.0
    for z in (first, second):
        mean = [sum(z[i, j] for i in range(n)) / n for j in range(d)]

        def entry(j, k, z=z, mean=mean):
            return sum((z[i, j] - mean[j]) * (z[i, k] - mean[k]) for i in range(n)) / (
                n - 1
            )

        var += sum(max(0.0, 1 - (entry(j, j) + 1e-3) ** 0.5) for j in range(d)) / d
        cov += sum(entry(j, k) ** 2 for j in range(d) for k in range(d) if j != k) / d
    expected = dict(loss_sim=2 * sim / (n * d), loss_var=3 * var, loss_cov=5 * cov)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert value > 0
        torch.testing.assert_close(
            found[name], torch.as_tensor(value), rtol=1e-12, atol=0
        )


def test_dino_is_its_formula_and_moves_its_center_once_a_step():
    model = build(dino(center_decay=0.7)).train()
    inputs = views(6)
    center = torch.zeros(12, dtype=torch.float64)
    for _ in range(3):
        outputs = [model.neck(model.backbone(x))[0] for x in inputs]
        # The teacher's weights are the student's: none was changed.
        sharp = [((out - center) / 0.08).softmax(1) for out in outputs]
        expected = sum(
            -(sharp[i] * (outputs[j] / 0.1).log_softmax(1)).sum(1).mean()
            for i, j in ((0, 1), (1, 0))
        )
        found = model(inputs, None, mode='loss')['loss']
        torch.testing.assert_close(found, expected / 2, rtol=1e-10, atol=0)
        center = 0.7 * center + 0.3 * torch.cat(outputs).mean(0)
        torch.testing.assert_close(model.center, center.detach(), rtol=1e-9, atol=1e-12)
    assert center.norm() > 1e-3


@pytest.mark.parametrize('layers', [1, 3])
def test_norms_in_the_head_of_dino_tell_images_apart(layers):
    """Features after a ReLU and an average have a large common part."""
    torch.manual_seed(0)
    features = 1 + 0.1 * torch.randn(64, 32, 1, 1)
    norm = dict(type='bissl_mm.DifferentiableSyncBN')
    spread = {}
    for norm_cfg in (None, norm):
        neck = DINONeck(32, 128, 32, 16, num_layers=layers, norm_cfg=norm_cfg)
        norms = [m for m in neck.mlp if isinstance(m, DifferentiableSyncBatchNorm)]
        assert len(norms) == (layers - 1 if norm_cfg else 0)
        spread[bool(norm_cfg)] = neck((features,))[0].std(0).mean()
    if layers > 1:
        assert spread[True] > 3 * spread[False]


def test_dino_takes_smaller_crops_for_the_student_alone():
    model = build(dino()).train()
    crops = [*views(6), views(6, pixels=16)[0]]
    seen = []
    model.target_net.register_forward_hook(lambda m, x, y: seen.append(x[0].shape[-1]))
    model(crops, None, mode='loss')['loss'].backward()
    assert seen == [crops[0].shape[-1]] * 2
    assert all(p.grad is None for p in model.target_net.parameters())
    assert all(p.grad is not None for p in model.neck.parameters())


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(teacher_temp=0.0), 'teacher_temp must be above 0, but is 0.0'),
        (dict(target_decay=1.0), r'target_decay must lie in \(0, 1\), but is 1.0'),
        (dict(center_decay=-0.1), r'center_decay must lie in \(0, 1\), but is -0.1'),
    ],
)
def test_bad_settings_of_dino_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DINO(backbone={}, neck={}, **kwargs)


def test_bad_batches_are_refused():
    with pytest.raises(ValueError, match='var_weight must be a number of at least 0'):
        VICRegHead(var_weight=-1.0)
    one = torch.ones(1, 4)
    with pytest.raises(ValueError, match='Set a batch_size of at least 2'):
        VICRegHead().loss(one, one)
    for kind in (vicreg, dino):
        with pytest.raises(ValueError, match='views, got 1. Set num_views'):
            build(kind()).loss(views(6)[:1], None)
