"""What has one derivative only: differences of gradients take it, products with
the Hessian refuse it and say so."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from pretext_models import bissl_model, sgd_wrapper
from small_models import views
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from toy import ToyPretext

from bissl_mm.engine.steps.gradients import FirstOrder
from bissl_mm.engine.steps.hypergradient import ImplicitSystem
from bissl_mm.engine.steps.settings import HypergradientSettings
from bissl_mm.hypergradient import Differences, GaussNewton, Hessian
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.models import pretext_closure
from bissl_mm.models.checks import check_differentiable, kinks_note
from bissl_mm.registry import build_regularizer
from bissl_mm.utils.compat import plain_attention
from bissl_mm.utils.errors import Refusal

WAY_OUT = "curvature='differences'"


def direction(params):
    generator = torch.Generator().manual_seed(1)
    return tuple(
        torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in params
    )


def product(pretext, kind=Differences, batch=None):
    """With the first weights of a model, on a fixed batch."""
    data = batch or dict(inputs=views(4)[0], data_samples=None)
    closure = pretext_closure(pretext, data, 0, kind is Hessian)
    params = tuple(p for p in pretext.backbone.parameters() if p.requires_grad)
    return kind([closure], params)(direction(params))


def error(found, expected):
    return (norm(subtract(found, expected)) / norm(expected)).item()


def is_refused(pretext):
    """With the Hessian alone, by a text that names differences."""
    check_differentiable(pretext, nn.Linear(1, 1), curvature='differences')
    with pytest.raises(TypeError) as info:
        check_differentiable(pretext, nn.Linear(1, 1))
    return WAY_OUT in str(info.value)


class Checkpointed(nn.Module):
    """A layer that asks for the re-entrant kind."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.with_cp = True

    def forward(self, x):
        return checkpoint(self.layer, x, use_reentrant=True)


@pytest.mark.parametrize('whose', ['the library', 'a layer'])
def test_reentrant_checkpointing(whose):
    plain = bissl_model('MAE', torch.float64).pretext
    model = copy.deepcopy(plain)
    if whose == 'the library':
        turn_on_activation_checkpointing(model, ['backbone.layers.0'])
    else:
        model.backbone.layers[0] = Checkpointed(model.backbone.layers[0])
    assert is_refused(model)
    assert error(product(model), product(plain)) < 1e-12
    # The lower step as well.
    first_order = FirstOrder(None, None)
    data = dict(inputs=views(4)[0], data_samples=None)
    found, expected = (
        list(first_order.loss_gradient(m, [data], 3)[1].values())
        for m in (model, plain)
    )
    assert error(found, expected) < 1e-12


def test_checkpointed_norms_keep_their_statistics():
    """A layer that runs once more does so under the same rules."""
    plain = ToyPretext().double()
    model = copy.deepcopy(plain)
    model.backbone = nn.Sequential(Checkpointed(model.backbone))
    batch = dict(inputs=views(6))
    before = [b.clone() for b in model.buffers()]
    found = product(model, batch=batch)
    assert error(found, product(plain, batch=batch)) < 1e-12
    assert all(torch.equal(*pair) for pair in zip(before, model.buffers()))


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


def test_attention_takes_its_fast_kernel():
    model = bissl_model('MAE', torch.float64).pretext
    found = {}
    for kind in (Hessian, Differences):
        with Operations() as seen:
            found[kind] = product(model, kind)
        is_flash = any('flash_attention' in name for name in seen.names)
        assert is_flash == (kind is Differences)
    assert error(found[Differences], found[Hessian]) < 1e-3


def test_synchronised_norms_of_torch():
    plain = ToyPretext().double()
    model = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    batch = dict(inputs=views(6))
    assert is_refused(model)
    assert error(product(model, batch=batch), product(plain, batch=batch)) < 1e-12


def compiled(layer):
    # Without code generation, which takes a compiler.
    layer.compile(backend='aot_eager')


@pytest.mark.whole
def test_compiled_modules():
    plain = bissl_model('MAE', torch.float64).pretext
    model = copy.deepcopy(plain)
    compiled(model.backbone.layers[0].ffn)
    # Rounding of a gradient, over the step.
    assert error(product(model), product(plain)) < 1e-8


def test_compiled_modules_are_refused():
    layer = nn.Linear(2, 2)
    compiled(layer)
    assert is_refused(nn.Sequential(layer))
    assert is_refused(nn.Sequential(torch.compile(nn.Linear(2, 2))))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return ctx.saved_tensors[0].cos() * grad


def attention(x):
    x = x.view(1, 1, 4, 2)
    return F.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize('function', [Once.apply, attention], ids=['own', 'kernel'])
@pytest.mark.parametrize('kind', [Hessian, GaussNewton])
def test_functions_without_a_second_derivative(function, kind):
    x = torch.randn(8, dtype=torch.float64, requires_grad=True)
    vector = direction((x,))

    def loss(function=function):
        return function(x).square().sum()

    def cut():
        out = function(x)
        leaf = out.detach().requires_grad_()
        return (out,), (leaf,), leaf.square().sum()

    with pytest.raises(Refusal, match=WAY_OUT):
        kind([loss if kind is Hessian else cut], (x,))(vector)
    twice = attention if function is attention else torch.sin
    with plain_attention():
        expected = Hessian([lambda: loss(twice)], (x,))(vector)
    assert error(Differences([loss], (x,), step=1e-7)(vector), expected) < 1e-5


class Norm(TorchFunctionMode):
    """Layer norm in elementary operations, which torch derives rightly."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.layer_norm:
            return func(*args, **(kwargs or {}))
        rest = args[0] - args[0].mean(-1, keepdim=True)
        rest = rest / (rest.square().mean(-1, keepdim=True) + kwargs['eps']).sqrt()
        return rest * kwargs['weight'] + kwargs['bias']


def test_gradient_in_the_loss_through_a_norm():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 1))
    net.double()
    params = tuple(net.parameters())
    data = torch.randn(5, 4, dtype=torch.float64)

    def loss():
        x = data.clone().requires_grad_()
        (grad,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return (grad.norm(dim=1) - 1).square().mean() + net(x).square().mean()

    with pytest.raises(ValueError, match=WAY_OUT):
        Hessian([loss], params)
    with Norm():
        expected = Hessian([loss], params)(direction(params))
    found = Differences([loss], params, step=1e-7)(direction(params))
    assert error(found, expected) < 1e-4


@pytest.mark.parametrize('kind', [Hessian, Differences])
def test_a_forward_pass_that_writes_to_a_parameter_is_refused(kind):
    class Normalising(ToyPretext):
        def forward(self, *args, **kwargs):
            with torch.no_grad():
                weight = self.head[-1].weight
                weight.copy_(F.normalize(weight))
            return super().forward(*args, **kwargs)

    model = Normalising().double()
    with pytest.raises(Refusal, match="writes to its parameter 'head.3.weight'"):
        product(model, kind, dict(inputs=views(6)))


def test_a_direct_solver_is_refused():
    regularizer = build_regularizer(dict(type='SquaredDistance', weight=0.1))

    def system(**settings):
        return ImplicitSystem(
            regularizer,
            HypergradientSettings(solver=dict(type='DenseSolver'), **settings),
        )

    system()
    with pytest.raises(ValueError, match='DenseSolver needs exact products.*Minres'):
        system(curvature='differences')


def test_a_zero_vector_has_a_zero_product():
    x = torch.tensor([0.3, -2.0], requires_grad=True)
    operator = Differences([lambda: x.exp().sum()], (x,))
    assert torch.equal(operator((torch.zeros(2),))[0], torch.zeros(2))


def test_kinks_are_found_in_losses_and_in_derived_classes():
    class Mine(nn.LeakyReLU):
        pass

    assert kinks_note(nn.Sequential(nn.GELU(), nn.MSELoss(), nn.AvgPool2d(2))) is None
    for layer in (Mine(), nn.MaxPool1d(2), nn.L1Loss()):
        found = kinks_note(nn.Sequential(nn.GELU(), layer))
        assert f"'1' of the pretext model have kinks ({type(layer).__name__})" in found


def test_a_stage_with_checkpoints():
    """Lower step, upper phase and upper step through the wrapper."""
    logs = []
    for is_checkpointed in (False, True):
        model = bissl_model('MAE', torch.float64)
        if is_checkpointed:
            turn_on_activation_checkpointing(model.pretext, ['backbone.layers.1'])
        wrapper = sgd_wrapper(model, hypergradient=dict(curvature='differences'))
        batch = dict(inputs=views(4)[0], data_samples=None)
        wrapper.lower_step(model, batch, seed=0)
        wrapper.begin_upper_phase(model, [batch], seed=0)
        v = direction(model.lower_backbone())
        logs.append(wrapper.system.solve(v).value)
    assert error(*logs) < 1e-8
