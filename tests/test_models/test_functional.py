"""What pure forward passes must not change."""

from collections import deque
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, ExponentialMovingAverage
from torch import nn

from bissl_mm.models import loss_with_state, pretext_closure, pure_forward
from bissl_mm.models.losses.functional import substituted


class Busy(BaseModel):
    """A model that draws, averages weights and writes to a queue."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.target = ExponentialMovingAverage(self.backbone, 0.1)
        self.register_buffer('queue', torch.zeros(3))

    def forward(self, inputs, mode='loss'):
        self.target.update_parameters(self.backbone)
        self.queue[0] += 1
        out = self.drop(self.norm(self.backbone(inputs)))
        return dict(loss=(out - self.target(inputs)).square().mean())


def test_pure_forward_leaves_no_trace():
    torch.manual_seed(0)
    model = Busy()
    with torch.no_grad():
        model.backbone.weight.add_(1.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    closure = pretext_closure(model, dict(inputs=torch.randn(6, 4)), seed=3)
    state = torch.get_rng_state()
    losses = [closure() for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1] == losses[2]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert model.norm.track_running_stats


class Teaching(BaseModel):
    """A model whose loss moves a teacher and a codebook by their data, as CAE and VQKD
    do."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 4)
        self.teacher = nn.Linear(4, 4).requires_grad_(False)
        self.codebook = nn.Linear(4, 4, bias=False).requires_grad_(False)
        self.codebook.register_buffer('size', torch.zeros(4))

    def forward(self, inputs, mode='loss'):
        target = self.codebook(self.teacher(inputs))
        self.teacher.weight.data = self.backbone.weight.data * 1.0
        self.codebook.weight.data.mul_(0.9).add_(1.0)
        self.codebook.size.data.mul_(0.9).add_(1.0)
        return dict(loss=(self.backbone(inputs) - target).square().mean())


def test_teachers_that_are_moved_by_their_data_are_restored():
    torch.manual_seed(0)
    model = Teaching()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    closure = pretext_closure(model, dict(inputs=torch.randn(6, 4)), seed=3)
    assert closure() == closure()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_another_seed_draws_another_mask():
    torch.manual_seed(0)
    model = Busy()
    data = dict(inputs=torch.randn(6, 4))
    first, second = (pretext_closure(model, data, seed)() for seed in (1, 2))
    assert first != second


def test_pure_forward_restores_after_an_error():
    model = Busy()
    try:
        with pure_forward(model, 0):
            model(torch.randn(6, 4))
            raise KeyError
    except KeyError:
        pass
    assert model.norm.track_running_stats
    assert model.queue[0] == 0
    assert model.norm.num_batches_tracked == 0
    model(torch.randn(6, 4))
    assert model.queue[0] == 1


def test_loss_with_state_leaves_the_model_alone():
    torch.manual_seed(0)
    model = Busy()
    data = dict(inputs=torch.randn(6, 4))
    model.target.update_parameters = lambda module: None
    state = dict(model.named_parameters())
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    before = {k: b.clone() for k, b in model.named_buffers()}
    other = torch.randn(4, 4, requires_grad=True)
    state['backbone.weight'] = other
    torch.manual_seed(1)
    loss = loss_with_state(model, {**state, **buffers}, data)
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name]), name
    assert buffers['queue'][0] == 1
    with torch.no_grad():
        model.backbone.weight.copy_(other)
    torch.manual_seed(1)
    assert torch.equal(loss, model(**data)['loss'])
    assert torch.autograd.grad(loss, other)[0].abs().sum() > 0


class Scaling(BaseModel):
    """A head that scales the annotations in place, as one of mmdet's may."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs, data_samples, mode='loss'):
        for sample in data_samples:
            sample['boxes'].mul_(0.5)
        boxes = torch.stack([sample['boxes'] for sample in data_samples])
        return dict(loss=(self.weight * boxes).sum())


def test_loss_with_state_leaves_the_annotations_alone():
    model = Scaling()
    samples = [dict(boxes=torch.tensor([4.0, 8.0])) for _ in range(2)]
    data = dict(inputs=torch.zeros(2), data_samples=samples)
    for _ in range(2):
        state = dict(model.named_parameters())
        assert loss_with_state(model, state, data).item() == 12
    assert all(s['boxes'].tolist() == [4.0, 8.0] for s in samples)


class Shared(nn.Module):
    """A module under two names and a weight shared by two modules."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.decoder = nn.Linear(3, 3, bias=False)
        self.decoder.weight = self.first.weight
        self.register_buffer('shift', torch.ones(3))

    def forward(self, x):
        return self.decoder(self.again(self.first(x)) + self.shift)


def test_shared_modules_and_weights_are_exchanged_and_put_back():
    model = Shared()
    before = dict(model.named_parameters())
    state = {
        n: torch.randn_like(p, requires_grad=True) for n, p in model.named_parameters()
    }
    state['shift'] = torch.zeros(3)
    x = torch.randn(2, 3)
    w, b = state['first.weight'], state['first.bias']
    with substituted(model, state):
        out = model(x)
    expected = ((x @ w.T + b) @ w.T + b) @ w.T
    torch.testing.assert_close(out, expected)
    assert dict(model.named_parameters()) == before
    assert model.decoder.weight is model.first.weight is model.again.weight
    assert model.shift.tolist() == [1.0, 1.0, 1.0]


def test_incomplete_state_is_refused():
    model = Shared()
    with (
        pytest.raises(KeyError, match='shift'),
        substituted(model, dict(model.named_parameters())),
    ):
        pass


class Counting(BaseModel):
    """A model whose loss counts and collects beside its buffers, and moves the
    threshold of a part that is no module, as mmdet's DynamicRoIHead does."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 4)
        self.backbone.count = 0
        self.history, self.queue, self.seen = [], deque(maxlen=2), []
        self.assigner = SimpleNamespace(threshold=0.5)

    def forward(self, inputs, mode='loss'):
        self.backbone.count += 1
        self.queue.append(self.backbone.count)
        self.history.append(self.backbone.count)
        self.seen.append(self.history)
        if len(self.history) == 2:
            self.assigner.threshold += 0.1
            self.history = []
        out = self.backbone(inputs) * self.assigner.threshold * self.backbone.count
        return dict(loss=out.square().mean())


def state_of(model):
    return (
        model.backbone.count,
        list(model.history),
        list(model.queue),
        list(model.seen),
        model.assigner.threshold,
    )


class Tabled(BaseModel):
    """Keeps a table with the length for which it was made."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.length, self.table = 0, torch.zeros(0)

    def forward(self, inputs, mode='loss'):
        if self.length != len(inputs):
            self.length, self.table = len(inputs), torch.ones(len(inputs))
        return dict(loss=(self.scale * self.table * inputs).sum())


def test_a_table_stays_with_its_size():
    model = Tabled()
    state = dict(model.named_parameters())
    short, long = (dict(inputs=torch.ones(length)) for length in (3, 5))
    assert model(**short)['loss'] == 3
    assert loss_with_state(model, state, long) == 5
    assert model(**short)['loss'] == 3


def test_what_modules_count_and_collect_is_restored():
    torch.manual_seed(0)
    model, data = Counting(), dict(inputs=torch.randn(6, 4))
    model(**data)
    before, history = state_of(model), model.history
    closure = pretext_closure(model, data, seed=3)
    assert len({closure().item() for _ in range(3)}) == 1
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    losses = {loss_with_state(model, state, data).item() for _ in range(3)}
    assert len(losses) == 1
    assert state_of(model) == before
    assert model.history is history
    model(**data)
    assert state_of(model) != before
