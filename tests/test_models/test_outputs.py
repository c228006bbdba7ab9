"""Gauss-Newton products through mmpretrain's self-supervised methods.

The references write outputs and curvature of each loss down from its formula
and take the Jacobian by forward differentiation, in a few random directions
of all parameters: with these as columns of V, V^T G V is compared.
"""

from contextlib import nullcontext

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel
from mmpretrain.models.losses import CosineSimilarityLoss, CrossEntropyLoss
from pretext_models import METHODS, bissl_model, make, sgd_wrapper
from torch.nn.functional import normalize

from bissl_mm.engine import BiSSLOptimWrapperConstructor
from bissl_mm.hypergradient import GaussNewton, Hessian
from bissl_mm.hypergradient.linalg.vectors import dot
from bissl_mm.models import pretext_closure, pretext_outputs_closure
from bissl_mm.models.losses.convex_losses import convex_form
from bissl_mm.utils.compat import plain_attention

SEED = 4


def project(model, images):
    return model.neck(model.backbone(images))[0]


def simclr(model, inputs, data_samples):
    """Logits (12, 11): cosines with all other views over 0.5."""
    z = project(model, torch.stack(inputs, 1).flatten(0, 1))
    z = z / (z.norm(dim=1, keepdim=True) + 1e-10)
    cosines = z @ z.T / 0.5
    return cosines[~torch.eye(12, dtype=torch.bool)].view(12, 11)


def moco(model, inputs, data_samples):
    """Logits (6, 25): cosines with the key and with the queue over 0.2."""
    query, key = (
        normalize(net(view))
        for net, view in (
            (lambda x: project(model, x), inputs[0]),
            (lambda x: model.encoder_k(x)[0], inputs[1]),
        )
    )
    return (
        torch.cat([(query * key.detach()).sum(1, keepdim=True), query @ model.queue], 1)
        / 0.2
    )


def predictions(model, inputs, data_samples):
    """Unit vectors (12, 8): what both views predict of the other."""
    return torch.cat(
        [normalize(model.head.predictor([project(model, v)])[0]) for v in inputs]
    )


def mae(model, inputs, data_samples):
    """Pixels of all patches (6, 9, 192)."""
    latent, model.mask, order = model.backbone(inputs)
    model.mask = model.mask.double()
    return model.neck(latent, order)


def simmim(model, inputs, data_samples):
    """Pixels (6, 3, 32, 32); blocks of 4 x 4 are masked together."""
    model.mask = torch.stack([s.mask for s in data_samples])
    latent = model.backbone(inputs, model.mask)
    model.mask = model.mask.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return model.neck(latent[0])


def barlow_twins(model, inputs, data_samples):
    """Correlation matrix (8, 8) of the standardised projections."""
    first, second = (
        (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
        for z in (project(model, v) for v in inputs)
    )
    return first.T @ second / 6


def cross_entropy(model, z, jacobian):
    """diag(p) - p p^T per row, over the number of rows; it has no labels."""
    p = z.softmax(1)
    blocks = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    rows = jacobian.view(*z.shape, -1)
    return torch.einsum('nck,ncd,ndl->kl', rows, blocks, rows) / len(z)


def least_squares(weight_of):
    def curved(model, z, jacobian):
        weights = (weight_of(model) * torch.ones_like(z)).reshape(-1, 1)
        return jacobian.T @ (weights * jacobian)

    return curved


#: Name -> outputs z, and J^T H_L J. The weights are the second derivatives of
#: 2 (l_1 + l_2) and (l_1 + l_2) / 2, l half the mean square over 6 images; of
#: means over the masked; and of the sum on and 0.0051 times that off the
#: diagonal.
REFERENCES = {
    'SimCLR': (simclr, cross_entropy),
    'MoCo v2': (moco, cross_entropy),
    'BYOL': (predictions, least_squares(lambda model: 2 / 6)),
    'SimSiam': (predictions, least_squares(lambda model: 0.5 / 6)),
    'MAE': (
        mae,
        least_squares(lambda m: 2 * m.mask.unsqueeze(2) / (192 * m.mask.sum())),
    ),
    'SimMIM': (
        simmim,
        least_squares(lambda m: 2 * m.mask.unsqueeze(1) / (3 * m.mask.sum())),
    ),
    'Barlow Twins': (
        barlow_twins,
        least_squares(lambda m: 0.0102 + (2 - 0.0102) * torch.eye(8).double()),
    ),
}


@pytest.fixture(autouse=True)
def max_iters():
    """What mmpretrain's scheduled averages read."""
    MessageHub.get_current_instance().update_info('max_iters', 100)


def prepare(name):
    """A model as in the middle of training, its batch and parameters."""
    model, data = make(name)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BaseAveragedModel):
                for param in module.parameters():
                    param.add_(0.02 * torch.randn_like(param))
    params = tuple(p for p in model.backbone.parameters() if p.requires_grad)
    return model, data, params


def dense_gauss_newton(name, model, data, params, directions):
    """V^T G V from J V."""
    outputs_of, curved = REFERENCES[name]
    places = [
        (m._parameters, key, p)
        for m in model.backbone.modules()
        for key, p in m._parameters.items()
    ]
    columns = []
    for direction in directions:
        tangents = {id(p): d for p, d in zip(params, direction, strict=True)}
        torch.manual_seed(SEED)
        with torch.no_grad(), forward_ad.dual_level(), plain_attention():
            for table, key, param in places:
                if id(param) in tangents:
                    table[key] = forward_ad.make_dual(param, tangents[id(param)])
            z, column = forward_ad.unpack_dual(outputs_of(model, **data))
            columns.append(column.flatten())
        for table, key, param in places:
            table[key] = param
    return curved(model, z, torch.stack(columns, 1))


@pytest.mark.parametrize('name', REFERENCES)
def test_products_equal_the_definition(name):
    model, data, params = prepare(name)
    operator = GaussNewton([pretext_outputs_closure(model, data, SEED)], params)
    torch.manual_seed(5)
    directions = [tuple(torch.randn_like(p) for p in params) for _ in range(3)]
    products = [operator(d) for d in directions]
    found = torch.stack(
        [torch.stack([dot(d, p) for p in products]) for d in directions]
    )
    expected = dense_gauss_newton(name, model, data, params, directions)
    assert (found - expected).norm() <= 1e-10 * expected.norm()
    assert torch.linalg.eigvalsh((found + found.T) / 2)[0] >= -1e-12 * found.norm()
    torch.testing.assert_close(
        operator.loss,
        pretext_closure(model, data, SEED)().detach(),
        rtol=1e-12,
        atol=1e-14,
    )


def test_curvature_is_never_negative_where_that_of_the_hessian_is():
    model, data, params = prepare('MAE')
    gauss_newton = GaussNewton([pretext_outputs_closure(model, data, SEED)], params)
    hessian = Hessian([pretext_closure(model, data, SEED)], params)
    torch.manual_seed(5)
    smallest = [0.0, 0.0]
    for _ in range(15):
        vector = tuple(torch.randn_like(p) for p in params)
        for i, operator in enumerate((gauss_newton, hessian)):
            curvature = dot(vector, operator(vector)) / dot(vector, vector)
            smallest[i] = min(smallest[i], curvature.item())
    assert smallest[0] >= -1e-12
    assert smallest[1] < -1e-4


@pytest.mark.parametrize('name', REFERENCES)
def test_ten_products_repeat_and_leave_no_trace(name):
    model, data, params = prepare(name)
    params = params[:2]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    closures = [pretext_outputs_closure(model, data, SEED)]
    first = GaussNewton(closures, params)(params)
    held = GaussNewton(closures, params)
    for _ in range(9):
        for a, b in zip(first, held(params), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert 'forward' not in vars(model.head.loss_module)
    assert all(p.grad is None for p in model.parameters())


def test_each_call_of_a_loss_module_is_an_output():
    model, data, _ = prepare('BYOL')
    outputs, leaves, loss = pretext_outputs_closure(model, data, SEED)()
    assert [z.shape for z in outputs] == [(6, 8)] * 2
    for output, leaf in zip(outputs, leaves, strict=True):
        assert torch.equal(output, leaf) and leaf.is_leaf
        torch.testing.assert_close(output.norm(dim=1), torch.ones(6).double())


def test_loss_module_is_restored_after_an_error(monkeypatch):
    model, data, _ = prepare('SimCLR')

    def fail(*args, **kwargs):
        raise FloatingPointError('in the midst of the loss')

    monkeypatch.setattr(model.head.loss_module, 'cls_criterion', fail)
    with pytest.raises(FloatingPointError, match='in the midst'):
        pretext_outputs_closure(model, data, SEED)()
    assert 'forward' not in vars(model.head.loss_module)


def test_cosine_loss_keeps_scale_shift_and_mask():
    loss = CosineSimilarityLoss(shift_factor=1.0, scale_factor=3.0)
    torch.manual_seed(0)
    prediction, target = torch.randn(2, 6, 5, 8).double()
    mask = torch.rand(6, 5).round().double()
    output_of, loss_of = convex_form('head.loss_module', loss)
    for given in ((target,), (target, mask)):
        torch.testing.assert_close(
            loss_of(output_of(prediction), *given),
            loss(prediction, *given),
            rtol=1e-12,
            atol=0.0,
        )


class OwnCrossEntropyLoss(CrossEntropyLoss):
    """What a derived type computes is not known."""


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda h: setattr(h.loss_module, 'penalty', torch.nn.L1Loss()),
            r'head.loss_module is PixelReconstructionLoss\( \(penalty\): L1Loss.*'
            "optim_wrapper.hypergradient.curvature='hessian'",
        ),
        (
            lambda h: setattr(h, 'loss_module', CosineSimilarityLoss(0.0, -1.0)),
            'CosineSimilarityLoss.*weights of at least 0',
        ),
        (
            lambda h: setattr(h, 'loss_module', CrossEntropyLoss(loss_weight=-1.0)),
            'CrossEntropyLoss.*weights of at least 0',
        ),
        (
            lambda h: setattr(h, 'loss_module', OwnCrossEntropyLoss()),
            r'is OwnCrossEntropyLoss\(\). It is not known',
        ),
        (lambda h: delattr(h, 'loss_module'), 'MAE has no loss_module'),
    ],
)
def test_other_losses_are_refused(change, message):
    model = bissl_model('MAE', torch.float32)
    change(model.pretext.head)
    with pytest.raises(TypeError, match=message):
        pretext_outputs_closure(model.pretext, {}, SEED)
    level = dict(optimizer=dict(type='SGD', lr=0.1))
    for curvature, expected in (
        ('gauss_newton', pytest.raises(TypeError, match=message)),
        ('hessian', nullcontext()),
    ):
        constructor = BiSSLOptimWrapperConstructor(
            dict(
                type='bissl_mm.BiSSLOptimWrapper',
                lower=level,
                upper=level,
                hypergradient=dict(curvature=curvature),
            )
        )
        with expected:
            constructor(model)


def test_loss_beside_the_loss_module_is_refused(monkeypatch):
    model, data, params = prepare('SimCLR')
    loss = model.head.loss
    monkeypatch.setattr(
        model.head,
        'loss',
        lambda positive, negative: loss(positive, negative) - 0.1 * positive.mean(),
    )
    with pytest.raises(ValueError, match='past the outputs'):
        GaussNewton([pretext_outputs_closure(model, data, SEED)], params)


def test_bilevel_step_with_either_curvature():
    model = bissl_model('MAE', torch.float64)
    _, batch = METHODS['MAE']
    labels = torch.arange(6) % 3
    found = {}
    for curvature in ('gauss_newton', 'hessian'):
        torch.manual_seed(0)
        wrapper = sgd_wrapper(
            model,
            hypergradient=dict(
                damping=0.0,
                curvature=curvature,
                solver=dict(type='CGSolver', max_iters=20),
            ),
        )
        assert wrapper.settings()['hypergradient.curvature'] == curvature
        wrapper.lower_step(model, batch(), seed=1)
        wrapper.begin_upper_phase(model, [batch()], seed=2)
        found[curvature] = wrapper.upper_step(
            model, dict(inputs=batch()['inputs'], data_samples=labels), seed=3
        )
        wrapper.end_upper_phase()
    # The identity and something positive; and conjugate gradients that end.
    assert found['gauss_newton']['min_curvature'] >= 1 - 1e-12
    assert found['gauss_newton']['iters'] == 20
    assert found['gauss_newton']['residual'] < 0.5
    assert found['hessian']['min_curvature'] < 1
    with pytest.raises(
        ValueError,
        match="curvature is 'gauss', but must be one of 'hessian', 'gauss_newton'",
    ):
        sgd_wrapper(model, hypergradient=dict(curvature='gauss'))
