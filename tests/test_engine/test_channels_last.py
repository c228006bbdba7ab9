"""The channels-last layout changes rounding alone, and is refused where it would
change more."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT
from small_models import build, simclr_cfg, views
from small_run import StopAt, make_runner, small_config, weights
from task_configs import shipped
from torch import nn

from bissl_mm.analysis.runs.fine_tune import Setting, fine_tune
from bissl_mm.engine.hooks.channels_last_hook import (
    FEWEST_CHANNELS,
    ChannelsLastHook,
    overruns_memory,
    refuse_compiled_operators,
    why_not,
)
from bissl_mm.hypergradient import DenseSolver, IdentitySolver

pytestmark = pytest.mark.usefixtures('plain_config_text')
HOOK = dict(type='ChannelsLastHook')
CHECKED_HEAP = Path('/usr/lib/x86_64-linux-gnu/libc_malloc_debug.so.0')
IDENTITY = dict(
    optim_wrapper__hypergradient=dict(
        _delete_=True, solver=dict(type='IdentitySolver'), damping=0.0
    )
)
#: Wide enough for this layout.
WIDE = {
    f'model__{level}__backbone__{name}': 8
    for level in ('pretext', 'downstream')
    for name in ('stem_channels', 'base_channels')
}
WIDE.update(
    model__pretext__neck__in_channels=16, model__downstream__head__in_channels=16
)


def run(monkeypatch, folders, work_dir, hook, stops=(), resume=False, **settings):
    cfg = small_config(
        monkeypatch,
        folders,
        work_dir,
        train_cfg__num_alternations=2,
        **{**WIDE, **IDENTITY, **settings},
    )
    cfg.custom_hooks = cfg.custom_hooks + [HOOK] * hook
    cfg.resume = resume
    runner = make_runner(cfg, stops)
    runner.train()
    return runner


def wide_simclr():
    cfg = simclr_cfg()
    cfg['backbone'].update(stem_channels=8, base_channels=8)
    cfg['neck'].update(in_channels=64)
    return cfg


def convolutions(model):
    return [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]


def is_channels_last(weight):
    return weight.is_contiguous(memory_format=torch.channels_last)


def test_values_and_gradients_are_the_same():
    inputs = views()
    found = []
    for hook in (None, ChannelsLastHook()):
        model = build(wide_simclr())
        if hook is not None:
            hook.before_train(SimpleNamespace(model=model, optim_wrapper=None))
        assert all(map(is_channels_last, convolutions(model))) == (hook is not None)
        loss = model.loss(inputs, [])['loss']
        found.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    for plain, last in zip(*found, strict=True):
        torch.testing.assert_close(last, plain, rtol=1e-9, atol=1e-11)


def test_a_stage_keeps_the_layout_and_goes_on_bit_for_bit(
    image_folders, tmp_path, monkeypatch
):
    plain = run(monkeypatch, image_folders, tmp_path / 'plain', False)
    whole = run(monkeypatch, image_folders, tmp_path / 'whole', True)
    assert not all(map(is_channels_last, convolutions(plain.model)))
    assert all(map(is_channels_last, convolutions(whole.model)))
    found = weights(whole)
    assert found.keys() == weights(plain).keys()
    with pytest.raises(SystemExit):
        run(
            monkeypatch,
            image_folders,
            tmp_path / 'parts',
            True,
            [StopAt('after_lower_step', 4)],
        )
    final = weights(run(monkeypatch, image_folders, tmp_path / 'parts', True, (), True))
    for name, value in found.items():
        assert torch.equal(final[name], value), name


def test_a_stage_with_products_keeps_its_layout(image_folders, tmp_path, monkeypatch):
    settings = dict(solver=dict(type='LayerwiseCGSolver'), damping=10.0, _delete_=True)
    ended = run(
        monkeypatch,
        image_folders,
        tmp_path,
        True,
        optim_wrapper__hypergradient=settings,
        log_level='INFO',
    )
    assert not all(map(is_channels_last, convolutions(ended.model)))
    (log,) = tmp_path.glob('*/*.log')
    assert 'does nothing: LayerwiseCGSolver takes products' in log.read_text()


@pytest.mark.parametrize(
    'conv, named',
    [
        (nn.Conv2d(4, 8, 1, stride=2), True),
        (nn.Conv2d(14, 8, 1, stride=(1, 2), groups=2), True),
        (nn.Conv2d(8, 4, 1, stride=2), False),
        (nn.Conv2d(4, 8, 1), False),
        (nn.Conv2d(4, 8, 3, stride=2), False),
    ],
)
def test_narrow_convolutions_that_write_beyond_their_memory(conv, named):
    model = nn.ModuleDict(dict(stem=nn.Conv2d(3, 4, 3), down=conv))
    assert overruns_memory(model) == ('down' if named else None)
    reason = why_not(SimpleNamespace(model=model, optim_wrapper=None))
    assert str(reason).startswith('down is a 1x1' if named else 'None')


@pytest.mark.skipif(not CHECKED_HEAP.exists(), reason='needs glibc with its checks')
def test_no_other_convolution_writes_beyond_its_memory():
    """In a process whose heap is checked; with 4 channels it is aborted where there is
    AVX2."""
    code = f"""
import torch
for channels in ({FEWEST_CHANNELS}, 12, 20):
    last = dict(memory_format=torch.channels_last)
    x = torch.randn(4, channels, 8, 8).to(**last).requires_grad_()
    w = torch.randn(8, channels, 1, 1).to(**last).requires_grad_()
    torch.nn.functional.conv2d(x, w, stride=2).sum().backward()
    del x, w
    torch.randn(100)
"""
    checked = dict(os.environ, LD_PRELOAD=str(CHECKED_HEAP), MALLOC_CHECK_='3')
    assert subprocess.run([sys.executable, '-c', code], env=checked).returncode == 0


def _several(rank, world):
    runner = SimpleNamespace(model=nn.Conv2d(3, 4, 3), optim_wrapper=None)
    return why_not(runner)


@pytest.mark.whole
@pytest.mark.dist
def test_several_processes_and_a_gpu_keep_the_layout(pool):
    assert pool.run(_several) == ['the model is trained on several processes'] * 2
    runner = SimpleNamespace(model=nn.Conv2d(3, 4, 3), optim_wrapper=None)
    assert why_not(runner) is None
    for solver, steps, reason in (
        (DenseSolver(), 0, 'DenseSolver takes products'),
        (IdentitySolver(), 2, 'unrolled steps'),
        (IdentitySolver(), 0, None),
    ):
        system = SimpleNamespace(
            solver=solver, config=SimpleNamespace(unrolled_steps=steps)
        )
        runner.optim_wrapper = SimpleNamespace(system=system)
        assert str(why_not(runner)).startswith(str(reason))
    runner.model.to('meta')
    assert 'on a GPU' in str(why_not(runner))


def test_comparisons_run_the_hooks_of_a_config(image_folders, tmp_path, monkeypatch):
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(image_folders / 'downstream'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    cfg = shipped(ROOT / 'configs/fine_tune/r10_32px.py', 'imagefolder-32px')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    seen = []
    for hooks in (cfg.custom_hooks, []):
        cfg.custom_hooks = hooks
        fine_tune(
            cfg,
            None,
            Setting(0.1, 0.0),
            0,
            str(tmp_path),
            inspect=lambda runner: seen.append(
                all(map(is_channels_last, convolutions(runner.model)))
            ),
        )
    assert seen == [True, False]


@pytest.mark.parametrize('task', ['imagefolder-32px', 'coco-c4-128px'])
@pytest.mark.parametrize(
    'path',
    [
        *ROOT.glob('configs/bissl/*r10_*_imagefolder-32px.py'),
        ROOT / 'configs/fine_tune/r10_32px.py',
    ],
    ids=lambda path: path.stem,
)
def test_configs_have_it_for_class_folders_alone(path, task):
    cfg = shipped(path, task)
    kinds = [hook.type.split('.')[-1] for hook in cfg.get('custom_hooks', [])]
    assert ('ChannelsLastHook' in kinds) == (task == 'imagefolder-32px')


@pytest.mark.mmcv_ops
def test_compiled_operators_are_refused():
    from mmcv.ops import RoIAlign

    model = nn.ModuleDict(dict(conv=nn.Conv2d(3, 4, 3)))
    refuse_compiled_operators(model)
    model['head'] = nn.Sequential(RoIAlign((3, 3)))
    with pytest.raises(ValueError, match=r'RoIAlign at head\.0 .* custom_hooks'):
        refuse_compiled_operators(model)
