"""Ranks that round differently stay equal; ranks that differ end the run."""

import glob
import hashlib
import logging
import os
import os.path as osp
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from test_bissl_loop import downstream_batch, pretext_batch, sgd, toy_model, toy_runner

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.engine.checks.ranks import (
    check_same_parameters,
    check_same_progress,
    digests,
)
from bissl_mm.engine.hooks import BiSSLCheckpointHook
from bissl_mm.engine.loop.settings import LoopSettings
from bissl_mm.engine.steps.lars import LARS

SOLVERS = (
    dict(type='LayerwiseCGSolver'),
    dict(type='CGSolver', max_iters=8, tolerance=0.02),
    dict(type='TruncatedCGSolver', tolerance=0.02),
    dict(type='MinresSolver', tolerance=0.02),
    dict(type='RecyclingSolver', tolerance=0.02),
    dict(type='NeumannSolver', step_size=0.3),
)


def other_sums(patch, factor=1.001):
    """Sums as with another number of threads, but with larger differences."""
    for owner, name in ((torch, 'dot'), (torch, 'mv'), (torch.linalg, 'vector_norm')):
        patch.setattr(
            owner,
            name,
            lambda *args, _f=getattr(owner, name), **kwargs: (
                _f(*args, **kwargs) * factor
            ),
        )
    # Arithmetic of another processor, besides the sums.
    add = torch.Tensor.addmv_
    patch.setattr(
        torch.Tensor,
        'addmv_',
        lambda self, *args, **kwargs: add(self, *args, **kwargs).mul_(factor),
    )
    norms = torch._foreach_norm
    patch.setattr(
        torch,
        '_foreach_norm',
        lambda *args, **kwargs: tuple(n * factor for n in norms(*args, **kwargs)),
    )


def steps(rank, world):
    """Digest of all parameters and iterations of every solver."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        if rank == 1:
            other_sums(patch)
        for solver in SOLVERS:
            model, generator = toy_model(), torch.Generator().manual_seed(rank)
            wrapper = toy_wrapper(
                model,
                hypergradient=dict(
                    solver=solver, damping=20.0, check_residual='always'
                ),
            )
            if solver['type'] == 'CGSolver':
                wrapper['lower'].optimizer = LARS(model.pretext.parameters(), lr=0.5)
            wrapper.head_warmup_step(model, downstream_batch(generator), 0)
            wrapper.lower_step(model, pretext_batch(generator), 0)
            wrapper.begin_upper_phase(model, [pretext_batch(generator)], 0)
            logs = [
                wrapper.upper_step(model, downstream_batch(generator), 0)
                for _ in range(2)
            ]
            digest = hashlib.sha256()
            for param in model.parameters():
                digest.update(param.detach().numpy().tobytes())
            found.append(
                (
                    solver['type'],
                    digest.hexdigest(),
                    [log['iters'] for log in logs],
                    [log['residual'] for log in logs],
                )
            )
    return found


def toy_wrapper(model, **settings):
    """Also with clipping, which computes norms."""
    return BiSSLOptimWrapper(
        sgd(model.pretext, 0.1),
        sgd(model.downstream, 0.1),
        sgd(model.downstream, 0.1),
        regularizer=dict(weight=0.3),
        **settings,
    )


@pytest.mark.dist
@pytest.mark.whole
def test_ranks_that_sum_otherwise_take_the_same_steps(pool):
    first, second = pool.run(steps)
    for one, other in zip(first, second, strict=True):
        assert one == other


def test_a_digest_sees_every_bit():
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.int64):
        tensor = (1000 * torch.randn(3, 700, 501)).to(dtype)
        other = tensor.clone()
        assert torch.equal(*digests([tensor, other]))
        # A change in the last bit, two that cancel, and two values that swap places.
        bits = other.view(torch.int16).flatten()
        bits[1_050_001] ^= 1
        assert not torch.equal(*digests([tensor, other]))
        bits[1_050_001] ^= 1
        first, second = other.view(-1)[5].clone(), other.view(-1)[8].clone()
        assert first != second
        other.view(-1)[5], other.view(-1)[8] = second, first
        assert not torch.equal(*digests([tensor, other]))


def messages_of_differing_ranks(rank, world):
    """The last bit of one weight of rank 1, and its place."""
    model = toy_model()
    check_same_parameters(model, 'at the beginning')
    check_same_progress('alternation 3')
    with torch.no_grad():
        weight = model.downstream.head.weight
        weight[1, 2] = torch.nextafter(
            weight[1, 2], torch.tensor(float('inf') if rank else weight[1, 2].item())
        )
        if rank:
            model.downstream.backbone[0].weight[0, 0, 0, 0] += 0.1
    texts = []
    for check in (
        lambda: check_same_parameters(model, 'after alternation 7'),
        lambda: check_same_progress(f'step {rank}'),
    ):
        with pytest.raises(RuntimeError) as info:
            check()
        texts.append(str(info.value))
    assert get_world_size() > 1
    return texts


@pytest.mark.dist
def test_ranks_apart_are_named_on_all_ranks(pool):
    for params, place in pool.run(messages_of_differing_ranks):
        assert params.startswith(
            'After alternation 7, the parameters are not the same on all '
            'processes: downstream.backbone.0.weight and 1 more of '
        )
        assert 'between rank 0 and rank(s) 1.' in params
        assert 'OMP_NUM_THREADS' in params
        assert 'rank 0 at step 0, rank 1 at step 1. They have not' in place


class Disturb(Hook):
    """A weight of one rank changes in the second alternation."""

    def after_lower_step(self, runner, logs):
        if runner.train_loop.progress.alternation == 1:
            with torch.no_grad():
                runner.train_loop.model.pretext.head[0].weight[0, 0] += 1e-3


def run_apart(rank, world, folder, interval, at_once):
    generator = torch.Generator().manual_seed(0)
    model = toy_model()
    runner = toy_runner(
        folder,
        model,
        [pretext_batch(generator) for _ in range(4)],
        [downstream_batch(generator) for _ in range(4)],
        toy_wrapper(model),
        num_alternations=4,
        rank_check_interval=interval,
    )
    if rank == 1:
        runner.register_hook(Disturb())
        if at_once:
            # Instead of a checkpoint that the other rank does not have.
            runner.load_or_resume = lambda: torch.nn.init.zeros_(
                model.downstream.head.weight
            )
    with pytest.raises(RuntimeError) as info:
        runner.train()
    return str(info.value)


@pytest.mark.dist
@pytest.mark.parametrize(
    'interval, at_once, when, name',
    [
        (1, False, 'After alternation 2, ', 'pretext.'),
        (3, True, 'At the beginning, ', 'downstream.head.weight'),
    ],
)
def test_a_run_ends_at_the_first_look(interval, at_once, when, name, pool, tmp_path):
    for text in pool.run(run_apart, str(tmp_path), interval, at_once):
        assert text.startswith(
            f'{when}the parameters are not the same on all processes: {name}'
        )


class StopOneRank(Hook):
    """After a step, one rank gets SIGTERM, and its loaders no batch any more."""

    def __init__(self, event, count, loses_loaders):
        def stop(runner, **kwargs):
            self.left -= 1
            if self.left:
                return
            os.kill(os.getpid(), signal.SIGTERM)
            for stream in runner.train_loop.streams.values() if loses_loaders else ():
                stream.next = self.fail

        self.left = count
        setattr(self, event, stop)

    def fail(self):
        raise RuntimeError('DataLoader worker is killed by signal: Terminated.')


def stopped_run(rank, world, folder, event, count, loses_loaders):
    """A run to its end, one that is stopped, and the same resumed."""
    digests, stops = [], []
    for name, hooks in (
        ('whole', []),
        ('parts', [StopOneRank(event, count, loses_loaders)]),
        ('parts', []),
    ):
        generator = torch.Generator().manual_seed(rank)
        model = toy_model()
        runner = toy_runner(
            f'{folder}/{name}',
            model,
            [pretext_batch(generator) for _ in range(4)],
            [downstream_batch(generator) for _ in range(4)],
            toy_wrapper(model),
            num_alternations=3,
        )
        runner.register_hook(BiSSLCheckpointHook())
        if stops:
            path = f'{folder}/parts/iter_{stops[0][1]}.pth'
            runner.load_or_resume = partial(runner.resume, path)
        for hook in hooks if rank == 1 else ():
            runner.register_hook(hook)
        try:
            runner.train()
        except SystemExit as error:
            stops.append((error.code, runner.train_loop.progress.name()))
        digest = hashlib.sha256()
        for value in model.state_dict().values():
            digest.update(value.numpy().tobytes())
        digests.append(digest.hexdigest())
    return stops, digests


@pytest.mark.dist
@pytest.mark.parametrize(
    'event, count, loses_loaders, place',
    [
        ('after_lower_step', 3, True, '1_lower_1'),
        pytest.param(
            *('after_lower_step', 4, True, '1_upper_0'), marks=pytest.mark.whole
        ),
        pytest.param(*('after_upper_step', 4, False, '2'), marks=pytest.mark.whole),
    ],
)
def test_one_rank_that_is_told_to_stop(
    event, count, loses_loaders, place, pool, tmp_path
):
    results = pool.run(stopped_run, str(tmp_path), event, count, loses_loaders)
    for stops, (whole, parts, resumed) in results:
        # 128 + SIGTERM, also on the rank that got no signal.
        assert stops == [(143, place)]
        assert resumed == whole != parts
    assert results[0] == results[1]


def resumed_from(rank, world, folder, hidden):
    """The checkpoint that each rank takes, or its message."""
    hook = BiSSLCheckpointHook()
    runner = SimpleNamespace(
        work_dir=folder,
        _resume=True,
        _load_from=None,
        logger=logging.getLogger('silent'),
    )
    with pytest.MonkeyPatch.context() as patch:
        if rank == 1 and hidden:
            # There is no shared file system, or it is slow.
            patch.setattr(glob, 'glob', lambda *args, **kwargs: [])
            if hidden == 'files':
                patch.setattr(osp, 'isfile', lambda path: False)
        try:
            hook.before_run(runner)
        except Exception as error:
            return f'{type(error).__name__}: {error}'
    return runner._load_from


@pytest.mark.dist
def test_all_ranks_resume_from_the_choice_of_one(pool, tmp_path):
    folder = str(tmp_path)
    assert pool.run(resumed_from, folder, None) == [None, None]
    torn, whole = tmp_path / 'iter_2.pth', tmp_path / 'iter_1.pth'
    torn.write_text('torn')
    for text in pool.run(resumed_from, folder, None):
        assert text.startswith('ValueRefusal: None of the checkpoints in')
    torch.save(dict(a=1), whole)
    for hidden in (None, 'list'):
        assert pool.run(resumed_from, folder, hidden) == [str(whole)] * 2
    for text in pool.run(resumed_from, folder, 'files'):
        assert text.startswith(
            f"FileNotFoundRefusal: --resume: rank 0 continues from '{whole}', "
            'but rank(s) 1 cannot read this file'
        )


@pytest.mark.parametrize(
    'interval, due', [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (10, [7])]
)
def test_the_last_alternation_is_looked_at_too(interval, due):
    settings = LoopSettings(7, 1, 1, None, 1, 'next', None, 1, 10, interval)
    assert [i for i in range(1, 8) if settings.is_rank_check_due(i)] == due
