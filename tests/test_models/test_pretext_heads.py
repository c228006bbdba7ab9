"""The authors' release: a backbone file and a file of the head."""

import pytest
import torch
from mmengine.registry import init_default_scope
from small_models import build
from task_configs import shipped
from torch import nn

from bissl_mm.models import BiSSLModel
from bissl_mm.models.weights.pretext_heads import load_pretext_head
from bissl_mm.utils.errors import ValueRefusal


def mlp(inputs: int, width: int = 32) -> nn.Sequential:
    """Linear, norm, ReLU, twice, and a linear layer without bias."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )


def narrow(task: str):
    """The paper's pretext model with few channels."""
    cfg = shipped(f'_base_/pretext/{task}_r50_in1k-96px').pretext_model
    cfg.backbone.update(depth=18, base_channels=8, stem_channels=8)
    cfg.backbone.norm_cfg = dict(type='BN')
    for layers in (cfg.neck, cfg.head.get('predictor', {})):
        if layers:
            layers.update(hid_channels=32, out_channels=32, norm_cfg=dict(type='BN1d'))
    cfg.neck.in_channels = 64
    if 'predictor' in cfg.head:
        cfg.head.predictor.in_channels = 32
    return cfg


def released(task: str) -> nn.Sequential:
    torch.manual_seed(3)
    parts = dict(projector=mlp(64))
    if task == 'byol':
        parts['predictor'] = mlp(32)
    head = nn.Sequential()
    for name, part in parts.items():
        head.add_module(name, part)
        for module in part:
            if isinstance(module, nn.BatchNorm1d):
                nn.init.uniform_(module.running_mean)
                nn.init.uniform_(module.weight)
    return head


@pytest.mark.parametrize('task', ['simclr', 'byol'])
def test_a_released_head_computes_what_it_did(task, tmp_path):
    head = released(task).eval()
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    init_default_scope('mmpretrain')
    model = build(narrow(task)).float().eval()
    load_pretext_head(model, str(tmp_path / 'head.pth'))
    features = torch.randn(4, 64)
    projected = model.neck((features[:, :, None, None],))[0]
    torch.testing.assert_close(projected, head.projector(features))
    if task == 'byol':
        predicted = model.head.predictor((projected,))[0]
        torch.testing.assert_close(predicted, head.predictor(head.projector(features)))


def test_backbone_and_head_are_two_paths(tmp_path):
    init_default_scope('mmpretrain')
    cfg = narrow('simclr')
    bare = {
        name.removeprefix('backbone.'): value + 1
        for name, value in build(cfg).float().state_dict().items()
        if name.startswith('backbone.')
    }
    head = released('simclr')
    torch.save(bare, tmp_path / 'backbone.pth')
    torch.save(head.state_dict(), tmp_path / 'head.pth')
    backbone = dict(cfg.backbone, type='mmpretrain.ResNet')
    model = BiSSLModel(
        dict(cfg, _scope_='mmpretrain'),
        dict(
            type='ImageClassifier',
            _scope_='mmpretrain',
            backbone=backbone,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
        ),
        pretrained=str(tmp_path / 'backbone.pth'),
        pretrained_head=str(tmp_path / 'head.pth'),
    )
    model.init_weights()
    state = model.pretext.state_dict()
    assert torch.equal(state['backbone.conv1.weight'], bare['conv1.weight'])
    assert torch.equal(state['neck.fc2.weight'], head.projector[6].weight)


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda s: {k: v for k, v in s.items() if 'projector.4' not in k}, 'neck.bn1'),
        (lambda s: {**s, 'predictor.0.weight': torch.ones(2, 2)}, 'head.predictor.fc0'),
        (lambda s: {**s, 'projector.6.weight': torch.ones(2, 32)}, 'another shape 1'),
        (lambda s: {'conv1.weight': torch.ones(2)}, "has no projection head.*'conv1"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change, words, tmp_path):
    torch.save(change(released('simclr').state_dict()), tmp_path / 'head.pth')
    init_default_scope('mmpretrain')
    model = build(narrow('simclr')).float()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueRefusal, match=words):
        load_pretext_head(model, str(tmp_path / 'head.pth'))
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
