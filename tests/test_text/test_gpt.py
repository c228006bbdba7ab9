"""GPT, its losses and their derivatives."""

import pytest
import torch
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

from bissl_mm.engine.hooks.transfer_hook import batch_features
from bissl_mm.hypergradient import Differences, Hessian
from bissl_mm.models import BiSSLModel, pretext_closure
from bissl_mm.models.weights.public_weights import to_mmpretrain
from bissl_mm.text import GPTClassifier, GPTLanguageModel
from bissl_mm.text.gpt import embed
from bissl_mm.utils.errors import Refusal

VOCAB = 11
BACKBONE = dict(
    type='bissl_mm.GPTBackbone',
    vocab_size=VOCAB,
    context=8,
    embed_dims=8,
    num_layers=2,
    num_heads=2,
)
HEAD = dict(type='bissl_mm.GPTHead', new_tokens=3)


def language_model(**backbone) -> GPTLanguageModel:
    torch.manual_seed(0)
    return GPTLanguageModel(BACKBONE | backbone)


def classifier(backbone=None, **head) -> GPTClassifier:
    torch.manual_seed(1)
    return GPTClassifier(BACKBONE | (backbone or {}), HEAD | head)


def samples(model, inputs, key='gt_label', values=(0, 1)) -> dict:
    data = [BaseDataElement(**{key: torch.tensor([v])}) for v in values]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=data), True)


def flat(tensors) -> torch.Tensor:
    return torch.cat([t.flatten() for t in tensors])


@pytest.mark.parametrize('dropout', [0.0, 0.3])
def test_second_derivative_equals_differences_of_the_loss(dropout):
    """In float64, through tied embeddings; dropout is drawn alike each time."""
    model = language_model(dropout=dropout).double().train()
    # Away from the initialisation, where all is nearly linear.
    with torch.no_grad():
        for param in model.parameters():
            param.mul_(5)
    data = dict(inputs=torch.randint(VOCAB, (3, 8)))
    params = tuple(model.parameters())
    vector = tuple(torch.randn_like(p) for p in params)
    closure = pretext_closure(model, data, seed=3)

    def moved(step: float) -> torch.Tensor:
        with torch.no_grad():
            torch._foreach_add_(list(params), list(vector), alpha=step)
        found = flat(torch.autograd.grad(closure(), params))
        with torch.no_grad():
            torch._foreach_sub_(list(params), list(vector), alpha=step)
        return found

    product = flat(Hessian([closure], params)(vector))
    step = 1e-5
    expected = (moved(step) - moved(-step)) / (2 * step)
    assert (product - expected).norm() <= 1e-6 * expected.norm()
    by_differences = flat(Differences([closure], params, step=1e-6)(vector))
    assert (by_differences - expected).norm() <= 1e-3 * expected.norm()


def test_output_layer_is_the_token_embedding():
    """The loss is the mean cross entropy of the next token."""
    model = language_model().eval()
    ids = torch.randint(VOCAB, (2, 8))
    ids[1, 5:] = -1
    logits = model(ids) @ model.backbone.tokens.T
    expected = torch.cat(
        [
            F.cross_entropy(logits[i, : n - 1], ids[i, 1:n], reduction='none')
            for i, n in ((0, 8), (1, 5))
        ]
    ).mean()
    torch.testing.assert_close(model(ids, mode='loss')['loss'], expected)
    assert {n.partition('.')[0] for n, _ in model.named_parameters()} == {'backbone'}


def test_a_token_sees_no_later_one():
    model = language_model().eval()
    ids = torch.randint(VOCAB, (1, 8))
    other = ids.clone()
    other[:, 5:] = (ids[:, 5:] + 1) % VOCAB
    found, changed = model(ids), model(other)
    assert torch.equal(found[:, :5], changed[:, :5])
    assert not torch.allclose(found[:, 5:], changed[:, 5:])


def test_embedding_in_two_tensors_is_that_of_one():
    rows = torch.randn(14, 8)
    ids = torch.randint(14, (4, 9))
    assert torch.equal(embed(ids, rows[:VOCAB], rows[VOCAB:]), rows[ids])


def test_classifier_reads_the_last_token_and_sums_both_orders():
    model = classifier().eval()
    pairs = [torch.tensor([[11, 3, 13, 5, 12], [11, 5, 13, 3, 12]])]
    data = samples(model, pairs + [torch.tensor([[11, 1, 12], [11, 1, 12]])])
    assert data['inputs'].shape == (2, 2, 5)
    rows = torch.cat([model.backbone.tokens, model.head.tokens])
    last = [model.backbone(rows[one][None])[0, -1] for one in pairs[0]]
    expected = model.head.fc(last[0] + last[1])
    torch.testing.assert_close(model(data['inputs'])[0], expected)
    losses = model(**data, mode='loss')
    outputs = model(data['inputs'])
    expected = F.cross_entropy(outputs, torch.tensor([0, 1]))
    torch.testing.assert_close(losses['loss_task'], expected)
    # Each of the two orders has its own next tokens.
    terms = []
    for one in (*pairs[0], torch.tensor([11, 1, 12]), torch.tensor([11, 1, 12])):
        logits = model.backbone(rows[one][None])[0] @ rows.T
        terms.append(F.cross_entropy(logits[:-1], one[1:], reduction='none'))
    torch.testing.assert_close(losses['loss_lm'], 0.5 * torch.cat(terms).mean())
    assert [s.pred_label.item() for s in model(**data, mode='predict')] == (
        outputs.argmax(1).tolist()
    )


def test_a_regression_has_the_squared_error():
    model = classifier(num_classes=1).eval()
    inputs = [torch.tensor([11, 2, 12]), torch.tensor([11, 2, 4, 12])]
    data = samples(model, inputs, 'gt_score', (1.5, 4.0))
    outputs = model(data['inputs'])[:, 0]
    expected = ((outputs - torch.tensor([1.5, 4.0])) ** 2).mean()
    torch.testing.assert_close(model(**data, mode='loss')['loss_task'], expected)


def test_new_tokens_belong_to_the_head_and_all_else_is_paired():
    model = BiSSLModel(language_model(), classifier())
    lower = [name for name, _ in model.pretext.named_parameters()]
    assert list(model.levels.lower_names) == lower
    assert set(model.levels.head_names) == {'head.tokens', 'head.fc.weight'}
    assert model.levels.phi_p == ()


def test_another_vocabulary_than_the_backbones_is_refused():
    """Otherwise the new tokens would be rows of the pretext model's embedding."""
    model = classifier()
    sample = BaseDataElement(metainfo=dict(vocab_size=7), gt_label=torch.tensor([0]))
    batch = dict(inputs=[torch.tensor([7, 1, 8])], data_samples=[sample])
    with pytest.raises(Refusal, match='has 7 tokens.*vocab_size=11.*VOCAB_SIZE=7'):
        model.data_preprocessor(batch)


def test_transfer_is_estimated_on_what_the_output_layer_gets():
    model = classifier().train()
    batches = []
    for first in (1, 4):
        pairs = [
            torch.tensor([[11, first, 13, i, 12], [11, i, 13, first, 12]])
            for i in (2, 3)
        ]
        data = [BaseDataElement(gt_label=torch.tensor([i])) for i in (0, 1)]
        batches.append(dict(inputs=pairs, data_samples=data))
    features, labels = batch_features(model, batches)
    assert labels.tolist() == [0, 1, 0, 1]
    assert model.training
    model.eval()
    outputs = [model(torch.stack(batch['inputs'])) for batch in batches]
    torch.testing.assert_close(model.head.fc(features), torch.cat(outputs))
    # A regression has no labels to compare.
    data = [BaseDataElement(gt_score=torch.tensor([1.0]))] * 2
    assert batch_features(model, [dict(batches[0], data_samples=data)]) is None


@pytest.mark.parametrize('prefix', ['', 'transformer.'])
def test_published_weights_get_their_names(prefix):
    """As transformers saves them: masks of attention, and the output layer."""
    model = language_model()
    own = model.state_dict()
    state = {
        prefix + k.removeprefix('backbone.transformer.'): v for k, v in own.items()
    }
    masks = {f'{prefix}h.{i}.attn.bias': torch.ones(8, 8) for i in range(2)}
    found, _ = to_mmpretrain({**state, **masks, 'lm_head.weight': torch.ones(11, 8)})
    assert {k: id(v) for k, v in found.items()} == {k: id(v) for k, v in own.items()}
    again, layout = to_mmpretrain(own)
    assert again is own and layout == 'mmpretrain'


def test_unknown_tokens_and_long_sequences_are_refused():
    model = language_model()
    with pytest.raises(Refusal, match='the token 11.*knows 11 tokens'):
        model.data_preprocessor(dict(inputs=torch.full((1, 4), VOCAB)))
    with pytest.raises(Refusal, match='9 tokens, more than the context of 8'):
        model(torch.zeros(1, 9, dtype=torch.int64), mode='loss')
    with pytest.raises(Refusal, match='does not divide into num_heads=3'):
        language_model(num_heads=3)


def test_equals_the_librarys_model_with_its_own_weights():
    """Names, shapes and values are those of transformers' OpenAIGPTLMHeadModel."""
    library = pytest.importorskip('transformers')
    config = library.OpenAIGPTConfig(
        vocab_size=VOCAB, n_positions=8, n_embd=8, n_layer=2, n_head=2
    )
    theirs = library.OpenAIGPTLMHeadModel(config).eval()
    model = language_model().eval()
    state = {k: 3 * v for k, v in theirs.state_dict().items() if k != 'lm_head.weight'}
    theirs.load_state_dict(state, strict=False)
    state = {f'backbone.{k}': v for k, v in state.items() if v.is_floating_point()}
    assert set(model.state_dict()) <= set(state)
    model.load_state_dict({k: state[k] for k in model.state_dict()})
    ids = torch.randint(VOCAB, (3, 8))
    found = model(ids, mode='loss')['loss']
    torch.testing.assert_close(found, theirs(ids, labels=ids).loss)
