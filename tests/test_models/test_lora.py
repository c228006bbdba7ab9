"""Adapters on both levels, and the system over the adapters alone."""

import pytest
import torch
from masked_models import MASKED
from mmcv.cnn.bricks import Conv2dAdaptivePadding, ConvWS2d
from mmcv.cnn.bricks.wrappers import Conv2d, Linear
from mmpretrain.models.utils import BEiTAttention, SparseConv2d, WindowMSAV2
from pretext_models import METHODS, Ready, bissl_model, sgd_wrapper
from small_models import build, classifier_cfg, simclr_cfg, views
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from bissl_mm.hypergradient.linalg.basis import flatten, unflatten
from bissl_mm.models import BiSSLModel, pretext_closure
from bissl_mm.models.backbone_map import BackboneMap
from bissl_mm.models.lora import Lora, LoraConv2d, is_adapter, merged


def adapted(dtype=torch.float64, **lora):
    """SimCLR beside a classifier; the adapters are off their beginning."""
    model = bissl_model('SimCLR', dtype)
    model = BiSSLModel(model.pretext, model.downstream, lora=lora).to(dtype).train()
    model.pretext.data_preprocessor = Ready(dtype)
    model.downstream.data_preprocessor = Ready(dtype)
    torch.manual_seed(7)
    with torch.no_grad():
        for p, d in zip(model.lower_backbone(), model.upper_backbone()):
            p.copy_(0.3 * torch.randn_like(p))
            d.copy_(p)
    return model


def batch():
    return dict(inputs=views(6), data_samples=None)


def test_only_adapters_belong_to_the_backbones_of_the_two_levels():
    model = adapted(rank=2)
    names = model.levels.lower_names
    convolutions = [
        n for n, m in model.pretext.named_modules() if isinstance(m, LoraConv2d)
    ]
    assert len(names) == 2 * len(convolutions) > 0 and all(map(is_adapter, names))
    assert all(n.startswith('backbone.') for n in names)
    assert [model.backbone_map.partner_of(n) for n in names] == list(
        model.levels.upper_names
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    wrapper = sgd_wrapper(model)
    wrapper.lower_step(model, batch(), 0)
    wrapper.begin_upper_phase(model, [batch()], 0)
    downstream = dict(inputs=views(6)[0], data_samples=torch.arange(6) % 3)
    wrapper.upper_step(model, downstream, 0)
    params = dict(model.named_parameters())
    moved = {n for n in params if not torch.equal(params[n], before[n])}
    fixed = set(params) - moved
    assert {n for n in moved if '.backbone.' in n} == {
        n for n in params if is_adapter(n)
    }
    assert moved and all('.backbone.' in n for n in fixed)


def test_the_system_is_that_of_the_dense_hessian_in_the_adapters():
    model = adapted(rank=1, targets=['layer1.*conv1'])
    wrapper = sgd_wrapper(
        model,
        hypergradient=dict(
            damping=20.0, solver=dict(type='DenseSolver'), check_residual='never'
        ),
    )
    wrapper.begin_upper_phase(model, [batch()], 0)
    params = model.lower_backbone()
    loss = pretext_closure(model.pretext, batch(), 0)()
    gradient = flatten_graph(torch.autograd.grad(loss, params, create_graph=True))
    hessian = torch.stack(
        [flatten(torch.autograd.grad(g, params, retain_graph=True)) for g in gradient]
    )
    torch.manual_seed(3)
    v = torch.randn(len(gradient), dtype=torch.float64)
    eye = torch.eye(len(v), dtype=torch.float64)
    expected = torch.linalg.solve(eye + hessian / 20.1, v)
    solution = wrapper.system.solve(unflatten(v, params))
    torch.testing.assert_close(flatten(solution.value), expected, rtol=1e-7, atol=1e-9)
    # The adapters curve the loss.
    assert (expected - v).norm() > 1e-6 * v.norm()


def flatten_graph(vectors):
    return torch.cat([x.flatten() for x in vectors])


def test_an_adapter_begins_without_effect_and_joins_its_weight_in_an_export():
    images = views(4)[0].double()
    plain = bissl_model('SimCLR', torch.float64)
    expected = plain.pretext.backbone(images)[0]
    state = plain.state_dict()
    model = BiSSLModel(plain.pretext, plain.downstream, lora=dict(rank=2))
    torch.testing.assert_close(model.pretext.backbone(images)[0], expected)
    model = adapted(rank=2, alpha=3.0)
    changed = model.pretext.backbone(images)[0]
    assert not torch.allclose(changed, expected, rtol=1e-2)
    exported = model.backbone_state_dict()
    assert set(exported) == {
        k.removeprefix('pretext.') for k in state if k.startswith('pretext.backbone')
    }
    fresh = bissl_model('SimCLR', torch.float64).pretext
    fresh.load_state_dict(exported, strict=False)
    torch.testing.assert_close(fresh.backbone(images)[0], changed)
    upper = merged(model.downstream, model.downstream.state_dict())
    assert not any(map(is_adapter, upper))


@pytest.mark.parametrize(
    'lora, message',
    [
        (dict(rank=0), 'model.lora: rank must be'),
        (dict(alpha=-1.0), 'model.lora: alpha must be'),
        (dict(alpha=0), 'alpha=0 leaves the adapters without effect'),
        (dict(targets='layer4'), r"targets must be a list .*'layer4'"),
        (dict(targets=[4]), r'targets must be a list'),
        (dict(targets=['(']), 'not a regular expression'),
        (dict(targets=['neck']), r"targets=\['neck'\] names none of"),
        (dict(ranks=2), "unknown key 'ranks'. Did you mean 'rank'"),
        (3, 'model.lora must be a dict'),
    ],
)
def test_settings_that_cannot_work(lora, message):
    pretext, downstream = build(simclr_cfg()), build(classifier_cfg())
    with pytest.raises((ValueError, TypeError), match=message):
        BiSSLModel(pretext, downstream, lora=lora)


class Halved(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight / 2, bias)


@pytest.mark.parametrize('side', ['pretext', 'downstream'])
@pytest.mark.parametrize(
    'make',
    [
        lambda: ConvWS2d(4, 4, 3, padding=1, bias=False),
        lambda: Conv2dAdaptivePadding(4, 4, 3, bias=False),
        lambda: SparseConv2d(4, 4, 3, padding=1, bias=False),
        lambda: Halved(4, 4, 3, padding=1, bias=False),
        lambda: spectral_norm(nn.Conv2d(4, 4, 3, padding=1, bias=False)),
    ],
)
def test_a_layer_that_computes_another_function_is_refused(make, side):
    name = 'backbone.layer1.0.conv1'
    models = dict(pretext=build(simclr_cfg()), downstream=build(classifier_cfg()))
    models[side].backbone.layer1[0].conv1 = layer = make().double()
    kind = f'is a {type(layer).__name__}, which'
    for targets in (None, ['layer1']):
        with pytest.raises(ValueError, match=f'{name!r} of .* {kind}.*Set targets'):
            Lora(targets=targets).add_to(*models.values(), BackboneMap())
    # Nothing was adapted before the refusal, and other layers may be.
    Lora(targets=['layer2']).add_to(*models.values(), BackboneMap())
    assert models[side].backbone.layer1[0].conv1 is layer
    assert isinstance(models[side].backbone.layer2[0].conv1, LoraConv2d)


def test_mmcv_s_plain_layers_are_adapted():
    def made():
        torch.manual_seed(0)
        layers = Conv2d(3, 4, 3, bias=False), nn.Flatten(), Linear(16, 2)
        return nn.ModuleDict(dict(backbone=nn.Sequential(*layers)))

    pair = made(), made()
    x = torch.randn(2, 3, 4, 4)
    expected = pair[0]['backbone'](x)
    Lora(rank=1).add_to(*pair, BackboneMap())
    assert sum(map(is_adapter, pair[0].state_dict())) == 4
    for model in pair:
        torch.testing.assert_close(model['backbone'](x), expected)


def test_a_weight_that_attention_reads_itself_is_refused():
    def made():
        attention = BEiTAttention(4, 1, (2, 2), True), WindowMSAV2(4, (2, 2), 1)
        return nn.ModuleDict(dict(backbone=nn.ModuleList(attention)))

    pair = made(), made()
    for i, kind in enumerate(('BEiTAttention', 'WindowMSAV2')):
        name = f'backbone.{i}.qkv'
        with pytest.raises(ValueError, match=f'{name!r} of .* {kind} reads itself'):
            Lora(targets=[rf'{i}.*(qkv|proj)']).add_to(*pair, BackboneMap())
    Lora(targets=['proj']).add_to(*pair, BackboneMap())
    # With the bias in its layer, BEiT's attention calls the layer.
    pair = [
        nn.ModuleDict(dict(backbone=BEiTAttention(4, 1, (2, 2), True, bias=True)))
        for _ in range(2)
    ]
    Lora(targets=['qkv']).add_to(*pair, BackboneMap())


def test_an_adapter_counts_in_evaluation_or_is_refused():
    def made(batch_first):
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)
        return nn.ModuleDict(dict(backbone=nn.Sequential(layer)))

    for name in ('linear1', 'linear2'):
        pair = made(True), made(True)
        match = f"'backbone.0.{name}' of .*batch_first=True reads itself in evaluation"
        with pytest.raises(ValueError, match=match):
            Lora(targets=[name]).add_to(*pair, BackboneMap())
    pair = made(False), made(False)
    Lora(rank=2).add_to(*pair, BackboneMap())
    model, exported = pair[0], made(False)
    for name, param in model.named_parameters():
        if name.endswith('lora_b'):
            nn.init.normal_(param)
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        trained = model['backbone'](x)
        evaluated = model.eval()['backbone'](x)
        exported.load_state_dict(merged(model, model.state_dict()))
        expected = exported.eval()['backbone'](x)
    torch.testing.assert_close(evaluated, trained)
    torch.testing.assert_close(evaluated, expected)


def test_a_target_network_would_not_follow():
    pretext, downstream = build(METHODS['BYOL'][0]()), build(classifier_cfg())
    with pytest.raises(TypeError, match='BYOL is a target network'):
        BiSSLModel(pretext, downstream, lora=dict(rank=2))
    with pytest.raises(TypeError, match="'teacher' of CAE is a target network"):
        Lora(rank=2).add_to(build(MASKED['CAE'][0]()), downstream, BackboneMap())


def test_linear_layers_of_an_encoder_are_adapted_but_not_torch_s_own_attention():
    plain = bissl_model('MAE', torch.float64)
    kwargs = dict(
        backbone_map=plain.backbone_map, lora=dict(rank=1, targets=['layers.*fc|qkv'])
    )
    model = BiSSLModel(plain.pretext, plain.downstream, **kwargs)
    names = [n for n in model.levels.lower_names if n.endswith('lora_a')]
    assert names and all('.layers.' in n and 'qkv' in n for n in names)
    attention = nn.MultiheadAttention(4, 1)
    pair = (
        nn.ModuleDict(dict(backbone=attention)),
        nn.ModuleDict(dict(backbone=nn.MultiheadAttention(4, 1))),
    )
    with pytest.raises(ValueError, match='none of the 0 linear layers'):
        Lora().add_to(*pair, BackboneMap())
