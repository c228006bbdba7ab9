"""The model that holds both levels' models."""

import pytest
import torch
from small_models import build, classifier_cfg, simclr_cfg
from torch import nn
from toy import ToyDownstream, ToyPretext

from bissl_mm.models import BiSSLModel, loss_with_state, unwrap
from bissl_mm.models.checks import check_num_classes


def toy(seed=0):
    torch.manual_seed(seed)
    return BiSSLModel(ToyPretext(), ToyDownstream())


def test_copying_moves_weights_and_statistics():
    model = toy()
    model.pretext(dict(inputs=[torch.randn(4, 3, 8, 8)] * 2)['inputs'])
    head = model.downstream.head.weight.clone()
    model.copy_backbone_to_upper()
    upper = model.downstream.backbone.state_dict()
    for name, value in model.pretext.backbone.state_dict().items():
        assert torch.equal(upper[name], value), name
        assert upper[name].data_ptr() != value.data_ptr()
    assert torch.equal(model.downstream.head.weight, head)


def test_loss_at_lower_equals_a_model_that_holds_its_weights():
    model = toy()
    data = dict(inputs=torch.randn(4, 3, 8, 8), data_samples=torch.tensor([0, 1, 2, 3]))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    loss = loss_with_state(model.downstream, model.upper_state_at_lower(), data)
    grads = torch.autograd.grad(loss, (*model.lower_backbone(), *model.upper_head()))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.copy_backbone_to_upper()
    expected = model.downstream(**data, mode='loss')['loss']
    assert torch.equal(loss, expected)
    references = torch.autograd.grad(
        expected, (*model.upper_backbone(), *model.upper_head())
    )
    for a, b in zip(grads, references, strict=True):
        assert torch.equal(a, b)


def test_evaluation_mode_at_lower_uses_the_lower_statistics():
    model = toy()
    model.pretext([torch.randn(4, 3, 8, 8) * 3 + 1] * 2)
    model.eval()
    x = torch.randn(4, 3, 8, 8)
    model.eval_backbone = 'lower'
    at_lower = model(x)
    model.eval_backbone = 'upper'
    assert not torch.equal(model(x), at_lower)
    model.copy_backbone_to_upper()
    torch.testing.assert_close(model(x), at_lower)


def test_exported_names_are_those_of_a_backbone():
    state = toy().backbone_state_dict()
    assert all(name.startswith('backbone.') for name in state)
    assert len(state) == len(ToyPretext().backbone.state_dict())


def test_export_names_the_backbone_whatever_it_is_called():
    pretext = ToyPretext()
    pretext.encoder = pretext.backbone
    del pretext.backbone
    model = BiSSLModel(
        pretext,
        ToyDownstream(),
        backbone_map=dict(rules=[('encoder.0', 'backbone.0'), ('encoder', 'backbone')]),
    )
    state = model.backbone_state_dict()
    assert state.keys() == {'backbone.' + k for k in pretext.encoder.state_dict()}


class LateFreezing(nn.Sequential):
    """A backbone that freezes its first layer in ``train``, as Swin and MobileNet do."""

    def train(self, mode=True):
        self[0].requires_grad_(False)
        return super().train(mode)


def test_stages_that_are_frozen_in_train_are_fixed():
    pretext, downstream = ToyPretext(), ToyDownstream()
    for part in (pretext, downstream):
        part.backbone = LateFreezing(*part.backbone)
    model = BiSSLModel(pretext, downstream).train()
    fixed = {a for a, _ in model.pairs.fixed_params}
    assert fixed == {'backbone.0.weight', 'backbone.0.bias'}
    assert not pretext.backbone[0].weight.requires_grad
    assert not downstream.backbone[0].weight.requires_grad


def test_stage_that_only_one_model_freezes_in_train_is_refused():
    downstream = ToyDownstream()
    downstream.backbone = LateFreezing(*downstream.backbone)
    with pytest.raises(ValueError, match='frozen in the downstream model only'):
        BiSSLModel(ToyPretext(), downstream)


def test_generator_of_targets_is_not_trained():
    pretext = ToyPretext()
    pretext.target_generator = nn.Linear(3, 3)
    model = BiSSLModel(pretext, ToyDownstream())
    generator = {id(p) for p in pretext.target_generator.parameters()}
    assert generator.isdisjoint(map(id, model.levels.phi_p))
    assert not any(p.requires_grad for p in pretext.target_generator.parameters())


def test_top_level_preprocessor_is_refused():
    with pytest.raises(ValueError, match='belongs to neither of the two models'):
        BiSSLModel(ToyPretext(), ToyDownstream(), data_preprocessor=dict())


def test_models_may_be_configs_or_models():
    model = BiSSLModel(simclr_cfg(), build(classifier_cfg()))
    assert type(model.downstream).__name__ == 'ImageClassifier'
    with pytest.raises(TypeError, match='pretext must be a config'):
        BiSSLModel(3, ToyDownstream())


def test_unwrap_names_what_is_missing():
    with pytest.raises(TypeError, match='is a Linear, but'):
        unwrap(torch.nn.Linear(1, 1))


def test_head_for_another_number_of_classes_is_named():
    model = build(classifier_cfg(num_classes=3))
    check_num_classes(model, dict(classes=('a', 'b', 'c')))
    check_num_classes(model, {})
    with pytest.raises(
        ValueError,
        match="'head' has num_classes=3, but the "
        r'training data have 2 classes \(a, b\)',
    ):
        check_num_classes(model, dict(classes=('a', 'b')))
