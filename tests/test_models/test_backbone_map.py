"""Pairing of backbone tensors."""

import pytest
import torch
from torch import nn

from bissl_mm.models import BackboneMap


def stage(channels=4):
    return nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))


class Net(nn.Module):
    """A backbone of two stages and a head."""

    def __init__(self, channels=4, head=3):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.layer1 = stage(channels)
        self.backbone.layer2 = stage(channels)
        self.head = nn.Linear(channels, head)


class C4(nn.Module):
    """The last stage is in the head, before the rest in order."""

    def __init__(self):
        super().__init__()
        self.roi_head = nn.Module()
        self.roi_head.shared_head = nn.Module()
        self.roi_head.shared_head.layer2 = stage()
        self.roi_head.bbox = nn.Linear(4, 2)
        self.backbone = nn.Module()
        self.backbone.layer1 = stage()


C4_RULES = [
    ('backbone.layer2', 'roi_head.shared_head.layer2'),
    ('backbone', 'backbone'),
]


def test_identity_pairs_parameters_and_buffers():
    pairs = BackboneMap().resolve(Net(), Net(head=7))
    assert len(pairs.params) == 8
    assert len(pairs.buffers) == 6
    assert all(a == b and a.startswith('backbone.') for a, b in pairs.all)
    assert pairs.fixed_params == []


def test_split_backbone_is_paired_by_rules():
    pairs = BackboneMap(rules=C4_RULES).resolve(Net(), C4())
    partners = dict(pairs.params)
    assert len(partners) == 8
    assert (
        partners['backbone.layer2.0.weight'] == 'roi_head.shared_head.layer2.0.weight'
    )
    assert partners['backbone.layer1.1.bias'] == 'backbone.layer1.1.bias'
    assert (
        'backbone.layer2.1.running_mean',
        'roi_head.shared_head.layer2.1.running_mean',
    ) in pairs.buffers


def test_forgotten_rule_names_the_orphans():
    with pytest.raises(
        ValueError,
        match=r'4 of 10 pretext parameters have no '
        r"downstream partner \(first: 'backbone.layer2.0.weight', "
        r"'backbone.layer2.0.bias', 'backbone.layer2.1.weight'\)",
    ):
        BackboneMap().resolve(Net(), C4())


def test_partner_of_another_shape_names_both():
    with pytest.raises(
        ValueError,
        match=r"'backbone.layer1.0.weight' has "
        r'shape \(4, 4, 1, 1\).*\(6, 6, 1, 1\)',
    ):
        BackboneMap().resolve(Net(), Net(6))


def test_upper_tensor_without_partner_is_named():
    downstream = Net()
    downstream.backbone.stem = stage()
    with pytest.raises(
        ValueError,
        match='4 of 14 downstream parameters have no pretext partner.*deep stem',
    ):
        BackboneMap().resolve(Net(), downstream)
    pairs = BackboneMap(unmapped_upper=['backbone.stem']).resolve(Net(), downstream)
    assert len(pairs.params) == 8


def test_a_stem_of_other_names_in_both_models_is_told():
    pretext, downstream = Net(), Net()
    downstream.backbone.stem = stage()
    pretext.backbone.stem = nn.Sequential(nn.ModuleDict(dict(conv=nn.Linear(1, 1))))
    with pytest.raises(
        ValueError, match="other names in mmpretrain.*type='mmseg.ResNetV1c'"
    ):
        BackboneMap().resolve(pretext, downstream)
    downstream = Net()
    # CSPDarknet's, which is no ResNet.
    downstream.backbone.stem = nn.ModuleDict(dict(conv=nn.Linear(1, 1)))
    with pytest.raises(ValueError) as info:
        BackboneMap().resolve(Net(), downstream)
    assert 'ResNet' not in str(info.value)


def test_unmapped_lower_tensors_go_to_the_pretext_head():
    pretext = Net()
    pretext.backbone.token = nn.Parameter(torch.zeros(2))
    with pytest.raises(
        ValueError,
        match=r"1 of 11 pretext parameters .*in 'unmapped_lower' "
        r"\(model\.backbone_map=dict\(unmapped_lower=\['backbone\.token'\]\)\)\.$",
    ):
        BackboneMap().resolve(pretext, Net())
    pairs = BackboneMap(unmapped_lower=['backbone.token']).resolve(pretext, Net())
    assert len(pairs.params) == 8


def test_frozen_partners_follow_the_policy():

    def frozen():
        model = Net()
        model.backbone.layer1.requires_grad_(False)
        return model

    with pytest.raises(
        ValueError,
        match='4 of 8 parameters are frozen in the '
        "downstream model only .first: 'backbone.layer1.0.weight', "
        "'backbone.layer1.0.bias', 'backbone.layer1.1.weight'",
    ):
        BackboneMap().resolve(Net(), frozen())
    with pytest.raises(ValueError, match='in the pretext model only'):
        BackboneMap().resolve(frozen(), Net())
    lower = Net()
    lower.backbone.layer2[0].bias.requires_grad_(False)
    with pytest.raises(ValueError, match='4 of 8 parameters .* downstream model only'):
        BackboneMap().resolve(lower, frozen())
    upper = frozen()
    pairs = BackboneMap(frozen='train').resolve(Net(), upper)
    assert len(pairs.params) == 8
    assert all(p.requires_grad for p in upper.parameters())
    lower = Net()
    pairs = BackboneMap(frozen='fix').resolve(lower, frozen())
    assert len(pairs.params) == 4 and len(pairs.fixed_params) == 4
    assert not lower.backbone.layer1[0].weight.requires_grad
    both = BackboneMap().resolve(frozen(), frozen())
    assert len(both.params) == 4


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(rules=[('backbone',)]), ValueError, 'is not a pair'),
        (
            dict(rules=[('features', 'backbone')]),
            ValueError,
            'no parameter of Net lies under',
        ),
        (dict(frozen='ignore'), ValueError, "'error', 'train', 'fix'"),
        (
            dict(unmapped_upper='backbone.extra'),
            TypeError,
            r"Write \['backbone.extra'\]",
        ),
        (
            dict(
                rules=[
                    ('backbone.layer1', 'backbone.layer1'),
                    ('head', 'backbone.layer2'),
                ]
            ),
            ValueError,
            'do not lie within',
        ),
        (
            dict(
                rules=[('backbone.layer1', 'backbone.layer2'), ('backbone', 'backbone')]
            ),
            ValueError,
            'is the partner of two pretext tensors',
        ),
        (dict(rule=[]), TypeError, "Did you mean 'rules'"),
    ],
)
def test_bad_settings_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        BackboneMap(**arguments).resolve(Net(), Net())


def test_nothing_to_train_is_an_error():
    pretext, downstream = Net(), Net()
    pretext.backbone.requires_grad_(False)
    downstream.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match='all 8 backbone parameters are'):
        BackboneMap().resolve(pretext, downstream)
