"""The dry run of memory: against real tensors, what fits, and what is refused."""

import copy
import gc
import math
import sys

import pytest
import torch
import torch.distributed as dist
from conftest import ROOT
from mmengine.registry import MODELS
from pretext_models import bissl_model
from small_run import CONFIG
from tool_runs import call, tool

from bissl_mm.engine.memory import live_tensors
from bissl_mm.engine.memory.checkpoints import unread_checkpoints
from bissl_mm.engine.memory.command import Request, answer
from bissl_mm.engine.memory.fake_device import fake_device
from bissl_mm.engine.memory.fit import Fit, Fitter, Lines
from bissl_mm.engine.memory.live_tensors import BLOCK, LiveTensors, can_count
from bissl_mm.engine.memory.phases import Peaks
from bissl_mm.engine.memory.report import advice, report
from bissl_mm.engine.memory.stage import Point
from bissl_mm.engine.memory.worst_case import bytes_of_vectors, worst_case
from bissl_mm.hypergradient import IdentitySolver, MinresSolver, RecyclingSolver
from bissl_mm.utils.card import GIB, read_memory, room, with_margin
from bissl_mm.utils.errors import RuntimeRefusal, ValueRefusal

__all__ = ['tool']
sys.path.insert(0, str(ROOT / 'benchmarks'))
import dry_run

#: torch 2.11 can. What another version is told has a test of its own.
counts = pytest.mark.skipif(not can_count(), reason='this torch cannot count tensors')
SMALL = dry_run.QUICK['ResNet-10, SimCLR, 32 px']


@counts
def test_dry_run_is_near_a_real_run():
    fake, true = dry_run.dry(*SMALL), dry_run.real(*SMALL)
    for phase in dry_run.PHASES:
        assert fake[phase] == pytest.approx(true[phase], rel=0.01), phase
    # With the working memory of the processor's kernels: 7% on one, below 5% on others.
    assert max(fake.values()) == pytest.approx(true['allocator'], rel=0.1)


@counts
@pytest.mark.whole
def test_unrolled_steps_are_near_a_real_run():
    config, options, sizes = SMALL
    key = 'optim_wrapper.hypergradient.'
    options = {**options, f'{key}unrolled_steps': 3}
    fake = dry_run.stage_of(config, options, sizes).measure({})
    true = dry_run.real(config, options, sizes)
    for phase in dry_run.PHASES:
        assert getattr(fake, phase) == pytest.approx(true[phase], rel=0.01), phase
    # The graphs of all steps are kept, or that of one.
    true = dry_run.real(config, {**options, f'{key}keep_graph': False}, sizes)
    assert fake.rebuilt == pytest.approx(true['product'], rel=0.01)


@counts
def test_live_tensors_are_counted_once_and_until_they_die():
    with LiveTensors() as memory:
        x = torch.zeros(2**10, requires_grad=True)
        view = x.view(2, -1)
        assert memory.now == 2**12
        loss = (view * 2).exp().sum()
        # The graph holds the result of exp, and nobody the product.
        assert memory.now == 2 * 2**12 + BLOCK
        assert memory.peak >= 3 * 2**12
        with memory.on_host():
            host = torch.zeros(2**10)
        del loss
        assert memory.restart() == 2**12 == memory.peak
        del x, view
        assert memory.now == 0 < len(host)


@counts
def test_fake_tensors_answer_what_depends_on_values():
    state = torch.random.get_rng_state()
    with fake_device(2) as memory:
        x = torch.rand(4, 3, requires_grad=True)
        mask = x.sum(1) > 0
        classes = torch.randint(3, (4,))
        assert x[mask].shape == (4, 3) and x[mask, classes[mask]].shape == (4,)
        assert (x > 0).nonzero().shape == (12, 2) and x.sum().item() == 1
        assert torch.autograd.grad(x[mask].sum(), x)[0].shape == x.shape
        assert copy.deepcopy(dict(a=x.detach()))['a'].shape == x.shape
        assert dist.get_world_size() == 2
        dist.all_reduce(x.detach())
        del x, mask, classes
        gc.collect()
        assert memory.now == 0
    assert not dist.is_initialized()
    assert torch.equal(torch.random.get_rng_state(), state)


@counts
def test_another_stage_is_refused():
    config = str(ROOT / 'configs/pretext/simclr_r18_b256-20e_cifar10-48px.py')
    with pytest.raises(RuntimeRefusal, match='is for the bilevel stage, and .*pretext'):
        answer(Request(config, None, None, 1, None, ()))


def test_a_torch_that_cannot_count_is_refused(monkeypatch):
    monkeypatch.setattr(live_tensors, 'can_count', lambda: False)
    with pytest.raises(
        RuntimeRefusal, match='does not let tensors be counted. Use a newer'
    ):
        answer(Request(str(CONFIG), {}, None, 1, None, ()))


@counts
@pytest.mark.whole
def test_settings_that_fit_do():
    stage = dry_run.stage_of(*SMALL)
    peaks = stage.measure({})
    assert peaks.rebuilt < peaks.product == peaks.largest
    fitter = Fitter(stage, peaks)
    found = fitter.fit(peaks.largest)
    assert not found.options and found.peaks == peaks
    assert found.hessian == {True: 8, False: 8} and found.pretext[True] == 8
    limit = (peaks.rebuilt + peaks.product) // 2
    found = fitter.fit(limit)
    assert found.options == {'optim_wrapper.hypergradient.keep_graph': False}
    assert found.peaks.largest == stage.measure(found.options).largest <= limit
    limit = 0.9 * peaks.rebuilt
    found = fitter.fit(limit)
    key = 'optim_wrapper.hypergradient.batch_size'
    size = found.options[key]
    assert 2 <= size == found.hessian[False] < 8
    # One image more is too much.
    more = stage.measure({**found.options, key: size + 1})
    assert found.peaks.largest <= limit < more.largest
    assert fitter.fit(peaks.at_rest).peaks is None


#: Of 8 pretext and 4 downstream images, and of half of them.
PEAKS = Peaks(
    at_rest=100,
    head_warmup=200,
    lower=300,
    begin=800,
    gradients=400,
    product=1000,
    graph=0,
    rebuilt=700,
    validation=None,
)
HALF = PEAKS._replace(lower=200, begin=450, product=550, gradients=300, rebuilt=400)
LINES = Lines(Point(8, 8, 4), PEAKS, Point(4, 4, 2), HALF)


@pytest.mark.parametrize(
    'curvature, parts, has_graph',
    [
        ('hessian', 1, True),
        ('gauss_newton', 1, True),
        ('hessian', 1, False),
        ('gauss_newton', 1, False),
        ('hessian', 2, False),
        ('differences', 1, False),
        ('fisher', 1, False),
    ],
)
def test_only_a_kept_graph_is_advised_to_be_left_out(curvature, parts, has_graph):
    config, options, _ = SMALL
    key = 'optim_wrapper.hypergradient.'
    more = {f'{key}curvature': curvature}
    more['optim_wrapper.num_micro_batches'] = dict(hessian=parts)
    if not has_graph:
        # With parts, differences and Fisher it is without effect.
        more[f'{key}keep_graph'] = False
    stage = dry_run.stage_of(config, {**options, **more}, (8, 4))
    peaks, lines = PEAKS, LINES
    found = Fitter(stage, peaks, lines).options(900)
    keep, size = (
        f'optim_wrapper.hypergradient.{n}' for n in ('keep_graph', 'batch_size')
    )
    # With parts, a batch is a multiple of them.
    smaller = {size: 7 // parts * parts}
    assert found == ({keep: False} if has_graph else smaller)
    fit = Fit({True: 7, False: 8}, {True: 7, False: 8}, {}, found, peaks)
    said = '\n'.join([*report(stage, peaks), *advice(stage, fit, GIB, ['train'])])
    assert ('keep_graph' in said) == has_graph


def needed(options):
    """Bytes of a loss without graphs that are kept, straight in the images of a part."""
    key = 'optim_wrapper.num_micro_batches.'
    lower, hessian = (options[f'{key}{level}'] for level in ('lower', 'hessian'))
    size = options.get('train_cfg.pretext_dataloader.batch_size', 64)
    size_of_hessian = options.get('optim_wrapper.hypergradient.batch_size', size)
    upper = options.get('train_dataloader.batch_size', 4)
    assert not size % lower and not size_of_hessian % hessian
    product = 100 + 40 * size_of_hessian // hessian
    return PEAKS._replace(
        lower=100 + 20 * size // lower,
        begin=100,
        gradients=100 + 10 * upper,
        product=product,
        rebuilt=product,
        head_warmup=None,
    )


def fitted(takes_parts, lower, hessian, limit):
    """What fits 64 images of the loss above, with parts that the config sets."""
    config, options, _ = SMALL
    as_set = {'optim_wrapper.num_micro_batches.lower': lower}
    as_set['optim_wrapper.num_micro_batches.hessian'] = hessian
    more = {'optim_wrapper.hypergradient.keep_graph': False, **as_set}
    stage = dry_run.stage_of(config, {**options, **more}, (64, 4))
    stage.takes_parts = takes_parts
    stage.measure = lambda options: needed({**as_set, **options})
    return Fitter(stage, needed(as_set)).fit(limit)


@pytest.mark.parametrize('limit, parts', [(500, (4, 8)), (250, (16, 32))])
@pytest.mark.parametrize('as_set', [(1, 1), (2, 2), (4, 8), (16, 2), (64, 64)])
def test_parts_that_are_needed_are_those_of_the_whole_batch(as_set, limit, parts):
    found = fitted(True, *as_set, limit)
    assert found.parts == dict(lower=parts[0], hessian=parts[1])
    enough = all(a >= b for a, b in zip(as_set, parts, strict=True))
    assert found.peaks.largest <= limit and enough == (not found.options)
    for key, number in found.options.items():
        level = key.removeprefix('optim_wrapper.num_micro_batches.')
        assert number == found.parts[level]


@pytest.mark.parametrize('as_set', [(1, 1), (4, 8), (2, 8)])
def test_smaller_batches_divide_into_the_parts_that_are_set(as_set):
    lower, hessian = as_set
    found = fitted(False, *as_set, limit=310)
    assert found.options and found.peaks.largest <= 310 and not found.parts
    step = math.lcm(*as_set)
    assert found.pretext[True] == min(10 * lower, 5 * hessian) // step * step


@pytest.mark.parametrize('takes_parts', [False, True])
def test_what_fits_of_unrolled_steps(takes_parts):
    config, options, _ = SMALL
    key = 'optim_wrapper.hypergradient.'
    # Parts of a Hessian batch are without effect.
    more = {f'{key}unrolled_steps': 2, 'optim_wrapper.num_micro_batches.hessian': 2}
    stage = dry_run.stage_of(config, {**options, **more}, (8, 4))
    stage.takes_parts = takes_parts
    fitter = Fitter(stage, PEAKS, LINES)
    keep = {f'{key}keep_graph': False}
    assert fitter.options(900) == keep
    # Their batches are those of the lower steps.
    size = {'train_cfg.pretext_dataloader.batch_size': 6}
    assert fitter.options(600) == {**keep, **size}
    fit = Fit({True: 7, False: 8}, {True: 7, False: 8}, {}, keep, None)
    assert set(fitter.fit(1000).parts) == ({'lower'} if takes_parts else set())
    said = '\n'.join(advice(stage, fit, GIB, ['train']))
    assert 'Hessian' not in said and 'Take fewer unrolled_steps, more GPUs' in said


@counts
@pytest.mark.parametrize(
    'solver, most, few',
    [
        (dict(type='RecyclingSolver', max_iters=2), 2 * 18, 2 * 6),
        pytest.param(
            dict(type='CGSolver', max_iters=3), 0, None, marks=pytest.mark.whole
        ),
    ],
)
def test_vectors_that_a_solver_keeps_are_named(solver, most, few):
    config, options, sizes = SMALL
    stage = dry_run.stage_of(config, options, sizes)
    stage.cfg.optim_wrapper.hypergradient.solver = solver
    peaks = stage.measure({})
    backbone = MODELS.build(stage.cfg.model).pretext.backbone
    vector = 4 * sum(p.numel() for p in backbone.parameters())
    assert stage.vectors == most * vector
    assert stage.vectors_of_few == (few and few * vector)
    lines = report(stage, peaks)
    said = '\n'.join(lines)
    assert ('vectors of the solver, at most' in said) == bool(most)
    assert ('(solver.max_basis=4: ' in said) == bool(few)
    (product,) = (i for i, line in enumerate(lines) if 'product of the' in line)
    following = [line.startswith('  of it, ') for line in lines[product + 1 :]]
    assert following.index(False) == sum(following) == 1 + bool(most)


@pytest.mark.parametrize(
    'solver, most, few',
    [
        (RecyclingSolver(2), 2 * 18, 2 * 6),
        (RecyclingSolver(2, max_basis=4), 2 * 6, None),
        (MinresSolver(3), 4, None),
        (IdentitySolver(), 0, None),
    ],
)
def test_bytes_of_a_solvers_vectors(solver, most, few):
    worst = worst_case(solver)
    worst.solve(lambda v: v, (torch.ones(3), torch.ones(2, 2)))
    assert bytes_of_vectors(solver, worst) == (28 * most, few and 28 * few)


@counts
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    config, options, sizes = SMALL
    path = tmp_path / 'other.pth'
    torch.save(bissl_model('SimCLR', torch.float32).pretext.state_dict(), path)
    stage = dry_run.stage_of(config, {**options, 'model.pretrained': str(path)}, sizes)
    with pytest.raises(ValueRefusal, match=r'other.pth. fits \d+ of \d+ backbone'):
        stage.measure({})


@pytest.mark.parametrize('key', ['pretrained', 'pretrained_head'])
def test_checkpoints_that_are_not_read_are_named(key, tmp_path):
    model = bissl_model('SimCLR', torch.float32)
    assert not unread_checkpoints(model)
    for path, reason in (
        ('https://example.com/weights.pth', 'is an address'),
        (str(tmp_path / 'weights.pth'), 'is not there'),
    ):
        setattr(model, key, path)
        (said,) = unread_checkpoints(model)
        assert f"model.{key}='{path}' {reason}" in said
    torch.save(dict(other=torch.ones(1)), path)
    with pytest.raises(ValueRefusal, match='weights.pth'):
        unread_checkpoints(model)
    model = bissl_model('SimCLR', torch.float32)
    model.pretrained = path
    torch.save(model.pretext.state_dict(), path)
    assert not unread_checkpoints(model)


@counts
@pytest.mark.whole
def test_command(image_folders, monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = 'bissl-simclr_r18_b64-10x4-10t_cifar10-48px_published.py'
    config = ROOT / 'configs/bissl' / name
    options = ('--cfg-options', 'train_cfg.pretext_dataloader.batch_size=500')
    call('train', config, '--dry-run', 'memory', '--memory', '4GiB', *options)
    said = capfd.readouterr().out
    assert 'lower step' in said and 'product of the Hessian' in said
    assert f'tools/train.py {config} {" ".join(options)} ' in said
    assert 'train_cfg.pretext_dataloader.batch_size=' in said.splitlines()[-2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['24GiB', '24GB', '24g', ' 24 gib', '24576m'])
def test_sizes_of_a_card(text):
    assert read_memory(text) == 24 * GIB
    assert with_margin(room(24 * GIB)) == pytest.approx(24 * GIB)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--dry-run'], "--dry-run is '', but can only be"),
        (['--dry-run', 'time'], "--dry-run is 'time', but can only be"),
        (['--num-gpus', '2'], '--num-gpus 2 belongs to a dry run'),
        (['--memory', '24GiB'], '--memory 24GiB belongs to a dry run'),
        (['--dry-run', 'memory', '--num-gpus', '0'], "--num-gpus is '0'"),
        (['--dry-run', 'memory', '--num-gpus', 'two'], "--num-gpus is 'two'"),
        (['--dry-run', 'memory', '--memory', '24'], "--memory is '24'"),
        (['--dry-run', 'memory', '--memory', 'much'], "--memory is 'much'"),
        (['--dry-run', 'memory', '--memory', '2g'], 'CUDA alone takes'),
        (['--dry-run', 'memory', '--resume'], 'leave --resume out'),
        (['--dry-run', 'memory', '--launcher', 'pytorch'], 'leave --launcher out'),
    ],
)
def test_arguments_are_refused(arguments, message, tool, capsys):
    with pytest.raises(SystemExit):
        tool('train', CONFIG, *arguments)
    said = capsys.readouterr().err
    assert message in said and said.count('\n') == 1
