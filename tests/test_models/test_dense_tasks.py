"""Detection and segmentation: the shipped models on small pictures."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from dense_models import (
    C4_RULES,
    build,
    detection_batch,
    detector_cfg,
    fix_proposals,
    segmentation_batch,
    segmentor_cfg,
    wide_simclr_cfg,
)
from mmengine.registry import MODELS, init_default_scope
from small_models import simclr_cfg

from bissl_mm.models import BackboneMap, loss_with_state
from bissl_mm.models.checks import check_num_classes, check_teacher
from bissl_mm.utils.random import seeded

pytestmark = pytest.mark.mmcv_ops


@pytest.fixture(params=['detection', 'segmentation'])
def task(request, monkeypatch):
    if request.param == 'segmentation':
        return build(segmentor_cfg(), simclr_cfg()), segmentation_batch()
    model = build(detector_cfg(), wide_simclr_cfg(), backbone_map=dict(rules=C4_RULES))
    fix_proposals(model.downstream, monkeypatch)
    return model, detection_batch()


def test_gradient_at_the_lower_backbone_equals_finite_differences(task):
    model, data = task
    lower = model.lower_backbone()

    def loss():
        # The same regions of interest in every evaluation.
        with seeded(5):
            return loss_with_state(model.downstream, model.upper_state_at_lower(), data)

    grads = torch.autograd.grad(loss(), lower)
    names = [upper for _, upper in model.pairs.params]
    conv5 = [(n, p, g) for n, p, g in zip(names, lower, grads) if 'layer4' in n]
    assert len(conv5) == 15
    assert all('shared_head' in n for n, _, _ in conv5) == hasattr(
        model.downstream, 'roi_head'
    )
    for name, _, grad in conv5:
        assert grad.norm() > 0, name

    def unit(tensors):
        size = torch.stack([t.norm() for t in tensors]).norm()
        return [t / size for t in tensors]

    def check(params, grads, step=1e-6):
        # Half along the gradient, for a derivative well above round-off, half
        # at random, which fails if the gradient has a wrong direction.
        random = unit([torch.randn_like(p) for p in params])
        directions = [a + b for a, b in zip(unit(grads), random)]
        values = []
        with torch.no_grad():
            for sign in (1, -2, 1):
                for param, direction in zip(params, directions):
                    param.add_(direction, alpha=sign * step)
                values.append(loss().item())
        expected = (values[0] - values[1]) / (2 * step)
        found = sum((g * d).sum().item() for g, d in zip(grads, directions))
        assert found == pytest.approx(expected, rel=1e-5)

    torch.manual_seed(1)
    for _ in range(3):
        check(lower, grads)
    for _, param, grad in conv5:
        check([param], [grad])


def test_both_backbones_see_the_same_regions(monkeypatch):
    model = build(detector_cfg(), wide_simclr_cfg(), backbone_map=dict(rules=C4_RULES))
    fix_proposals(model.downstream, monkeypatch)
    seen = []
    roi_head = model.downstream.roi_head
    bbox_loss = roi_head.bbox_loss
    monkeypatch.setattr(
        roi_head,
        'bbox_loss',
        lambda x, results: (
            seen.append(torch.cat([r.priors for r in results])) or bbox_loss(x, results)
        ),
    )
    data = detection_batch()
    for seed in (3, 3, 4):
        with seeded(seed):
            loss_with_state(model.downstream, model.upper_state_at_lower(), data)
        with seeded(seed):
            model.downstream(**data, mode='loss')
    assert all(torch.equal(a, b) for a, b in zip(seen[::2], seen[1::2]))
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize(
    'boxes',
    [(), ((60.0, 44.0, 90.0, 70.0),), ((10.0, 10.0, 10.5, 10.5),)],
    ids=['none', 'half-outside', 'tiny'],
)
def test_unusual_boxes_give_a_finite_loss_and_gradient(boxes):
    model = build(
        detector_cfg(), wide_simclr_cfg(), backbone_map=dict(rules=C4_RULES)
    ).float()
    data = detection_batch(boxes)
    data['inputs'] = data['inputs'].float()
    for sample in data['data_samples']:
        sample.gt_instances.bboxes = sample.gt_instances.bboxes.float()
    loss = loss_with_state(model.downstream, model.upper_state_at_lower(), data)
    grads = torch.autograd.grad(loss, model.lower_backbone())
    assert loss.isfinite()
    assert all(g.isfinite().all() and g.norm() > 0 for g in grads)


@pytest.mark.parametrize(
    'cfg, head', [(detector_cfg, 'roi_head.bbox_head'), (segmentor_cfg, 'decode_head')]
)
def test_class_counts_that_disagree_are_refused(cfg, head):
    model = MODELS.build(cfg())
    check_num_classes(model, dict(classes=('a', 'b', 'c')))
    with pytest.raises(
        ValueError,
        match=f"'{head}.*' has num_classes=3, but the training data have 2 classes",
    ):
        check_num_classes(model, dict(classes=('a', 'b')))


def test_frozen_stages_stay_trained_where_the_map_says_so():
    cfg = detector_cfg()
    # mmdet freezes them again whenever the model is set to train.
    cfg.backbone.frozen_stages = 1
    model = build(
        cfg, wide_simclr_cfg(), backbone_map=dict(rules=C4_RULES, frozen='train')
    )
    model.train()
    upper = model.upper_backbone()
    assert len(upper) == len(list(model.pretext.backbone.parameters()))
    assert all(p.requires_grad for p in upper)
    fixed = build(
        cfg, wide_simclr_cfg(), backbone_map=dict(rules=C4_RULES, frozen='fix')
    ).train()
    assert len(fixed.pairs.fixed_params) == 15
    assert not fixed.pretext.backbone.conv1.weight.requires_grad
    assert not fixed.downstream.backbone.conv1.weight.requires_grad


def test_deep_stem_is_refused_with_the_remedy():
    cfg = segmentor_cfg()
    cfg.backbone.type = 'ResNetV1c'
    pretext = MODELS.build(simclr_cfg())
    with pytest.raises(
        ValueError,
        match="A deep stem .ResNetV1c. has no counterpart in ResNet: use type='ResNet'",
    ):
        BackboneMap().resolve(pretext, MODELS.build(cfg))


def test_a_detector_with_a_teacher_is_refused():
    from mmdet.models import SoftTeacher

    detector = dict(detector_cfg(), data_preprocessor=None)
    check_teacher(MODELS.build(detector))
    model = SoftTeacher(detector, semi_train_cfg=dict(freeze_teacher=True))
    with pytest.raises(TypeError, match='SoftTeacher has a teacher, .*random weights'):
        check_teacher(model)


STOCK = """
import sys
sys.modules['bissl_mm'] = None          # importing it raises
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
cfg = Config.fromfile(sys.argv[1])
import_modules_from_strings(f'{cfg.default_scope}.models')
init_default_scope(cfg.default_scope)
model = MODELS.build(cfg.model)
model.init_weights()
state = torch.load(sys.argv[2], weights_only=True)['state_dict']
own = model.state_dict()
matched = head = 0
for name, value in state.items():
    place = name.replace('backbone.layer4', 'roi_head.shared_head.layer4') \\
        if 'roi_head' in cfg.model else name
    matched += torch.equal(own[place], value)
    head += place.startswith('roi_head')
print('matched', matched, 'of', len(state), 'in the shared head', head)
"""


@pytest.mark.whole
@pytest.mark.parametrize(
    'name, task, count, in_head',
    [('r18_48px', 'camvid-fcn16', 120, 0), ('r50_96px', 'voc0712-c4', 318, 60)],
)
def test_export_loads_into_stock_models(name, task, count, in_head, tmp_path):
    depth = 50 if 'r50' in name else 18
    init_default_scope('mmpretrain')
    backbone = MODELS.build(dict(type='ResNet', depth=depth, _scope_='mmpretrain'))
    torch.save(
        dict(
            state_dict={
                'backbone.' + k: torch.randn_like(v.float()).to(v.dtype)
                for k, v in backbone.state_dict().items()
            }
        ),
        tmp_path / 'backbone.pth',
    )
    result = subprocess.run(
        [
            sys.executable,
            '-c',
            STOCK,
            ROOT / 'configs/fine_tune' / f'{name}.py',
            tmp_path / 'backbone.pth',
        ],
        env=dict(
            os.environ, BISSL_TASK=task, BISSL_CHECKPOINT=str(tmp_path / 'backbone.pth')
        ),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert f'matched {count} of {count} in the shared head {in_head}' in result.stdout
