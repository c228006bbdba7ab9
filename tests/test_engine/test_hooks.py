"""Checkpoints, export and monitor."""

import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner.checkpoint import CheckpointLoader
from small_run import NETWORK, make_runner, small_config, weights

from bissl_mm.engine import SolverMonitorHook
from bissl_mm.engine.hooks import find_checkpoints
from bissl_mm.engine.loop.resume_guard import ResumedPathsHook
from bissl_mm.engine.steps.settings import HypergradientSettings
from bissl_mm.hypergradient import RecyclingSolver, SquaredDistance
from bissl_mm.utils import worker_signals
from bissl_mm.utils.checkpoint import (
    UnsafeCheckpointError,
    is_intact,
    load_checkpoint,
    save_atomically,
    use_safe_loading,
)

pytestmark = pytest.mark.usefixtures('plain_config_text')


def names(folder):
    return sorted(p.name for p in folder.glob('*.pth*'))


def test_old_checkpoints_go_only_after_the_new_one(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__val_interval=6,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=1, max_keep_ckpts=2
        ),
    )
    seen = []
    runner = make_runner(cfg)
    save = runner.save_checkpoint

    def watched(out_dir, filename, **kwargs):
        save(out_dir, filename, **kwargs)
        seen.append(names(tmp_path))

    runner.save_checkpoint = watched
    runner.train()
    assert seen[3] == ['iter_2.pth', 'iter_3.pth', 'iter_4.pth.partial']
    assert names(tmp_path) == ['backbone.pth', 'iter_5.pth', 'iter_6.pth']
    newest = find_checkpoints(str(tmp_path), str(tmp_path))[0]
    assert newest.endswith('iter_6.pth')


def test_step_interval_writes_between_alternations(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=1, step_interval=3, max_keep_ckpts=-1
        ),
    )
    make_runner(cfg).train()
    # 4 warm-up steps, then 3 lower and 2 upper steps per alternation.
    assert names(tmp_path) == [
        'backbone.pth',
        'iter_0_head_warmup_3.pth',
        'iter_0_lower_2.pth',
        'iter_0_upper_2.pth',
        'iter_1.pth',
        'iter_1_upper_0.pth',
        'iter_2.pth',
    ]


def test_best_checkpoint_is_kept_beside_the_newest(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook',
            interval=2,
            max_keep_ckpts=1,
            save_best='accuracy/top1',
        ),
    )
    make_runner(cfg).train()
    kept = names(tmp_path)
    assert 'iter_6.pth' in kept and len(kept) == 3
    assert any(n.startswith('best_accuracy_top1_iter_') for n in kept)


def test_best_score_is_a_plain_number_and_loads_safely(
    image_folders, tmp_path, monkeypatch
):
    import numpy as np

    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=2, save_best='score', rule='greater'
        ),
    )
    runner = make_runner(cfg)
    call = runner.call_hook

    def with_score(name, **kwargs):
        if name == 'after_val_epoch':
            kwargs['metrics'] = dict(score=np.float32(0.5))
        call(name, **kwargs)

    runner.call_hook = with_score
    runner.train()
    checkpoint = load_checkpoint(str(tmp_path / 'iter_2.pth'))
    info = checkpoint['message_hub']['runtime_info']
    assert info['best_score'] == 0.5 and type(info['best_score']) is float


def test_full_disk_while_saving_the_best_keeps_the_old_best(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__val_interval=1,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=1, save_best='score', rule='greater'
        ),
    )
    runner = make_runner(cfg)
    call, save, scores = runner.call_hook, runner.save_checkpoint, []

    def rising(name, **kwargs):
        if name == 'after_val_epoch':
            scores.append(len(scores))
            kwargs['metrics'] = dict(score=scores[-1])
        call(name, **kwargs)

    def failing(out_dir, filename, **kwargs):
        if filename.startswith('best_') and len(scores) == 2:
            raise OSError(28, 'No space left on device')
        save(out_dir, filename, **kwargs)

    runner.call_hook, runner.save_checkpoint = rising, failing
    with pytest.raises(OSError, match='best_score_iter_2.pth'):
        runner.train()
    assert names(tmp_path) == ['best_score_iter_1.pth', 'iter_1.pth', 'iter_2.pth']


@pytest.mark.parametrize(
    'name, missing',
    [
        ('best_accuracy_top1_iter_*.pth', 'lacks optimizer'),
        ('backbone.pth', 'lacks optimizer, the progress'),
    ],
)
def test_resuming_from_weights_alone_is_refused(
    name, missing, image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=2, save_best='accuracy/top1'
        ),
    )
    make_runner(cfg).train()
    (path,) = tmp_path.glob(name)
    cfg.resume, cfg.load_from = True, str(path)
    with pytest.raises(ValueError, match=missing):
        make_runner(cfg).train()


def test_early_stopping_ends_after_the_evaluation(image_folders, tmp_path, monkeypatch):

    class StopNow(Hook):
        def after_val_epoch(self, runner, metrics):
            runner.train_loop.stop_training = True

    cfg = small_config(monkeypatch, image_folders, tmp_path)
    runner = make_runner(cfg, [StopNow()])
    runner.train()
    # val_interval is 2.
    assert runner.iter == 2
    assert 'backbone.pth' in names(tmp_path)


def test_full_disk_keeps_the_old_checkpoint(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        default_hooks__checkpoint=dict(
            type='BiSSLCheckpointHook', interval=1, max_keep_ckpts=1
        ),
    )
    runner = make_runner(cfg)
    save, calls = runner.save_checkpoint, []

    def failing(out_dir, filename, **kwargs):
        calls.append(filename)
        if len(calls) == 3:
            with open(os.path.join(out_dir, filename), 'wb') as file:
                file.write(b'half')
            raise OSError(28, 'No space left on device')
        save(out_dir, filename, **kwargs)

    runner.save_checkpoint = failing
    with pytest.raises(OSError, match='iter_3.pth.*No space left.*unchanged'):
        runner.train()
    assert names(tmp_path) == ['iter_2.pth']
    assert is_intact(str(tmp_path / 'iter_2.pth'))
    cfg.resume = True
    make_runner(cfg).train()
    assert names(tmp_path) == ['backbone.pth', 'iter_6.pth']


def test_forked_workers_can_be_ended(image_folders, tmp_path, monkeypatch):
    import signal

    exits = []

    class EndWorker(Hook):
        def after_val_epoch(self, runner, metrics):
            fork = multiprocessing.get_context('fork')
            # A signal during the fork itself is lost.
            running = fork.Event()
            worker = fork.Process(target=lambda: (running.set(), time.sleep(60)))
            worker.start()
            running.wait(10)
            worker.terminate()
            worker.join(10)
            exits.append(worker.exitcode)
            worker.kill()

    make_runner(
        small_config(
            monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
        ),
        [EndWorker()],
    ).train()
    assert exits == [-signal.SIGTERM]


class StartsValidation(Hook):
    """Reads an image at the begin; its worker gets SIGTERM from elsewhere."""

    priority = 'VERY_HIGH'
    phases = 0

    def before_train(self, runner):
        # Workers of an earlier test may still be ending.
        before = {child.pid for child in multiprocessing.active_children()}
        images = iter(runner.val_loop.dataloader)
        next(images)
        (self.worker,) = (
            child
            for child in multiprocessing.active_children()
            if child.pid not in before
        )

    def before_upper_phase(self, runner):
        subprocess.run(['kill', '-TERM', str(self.worker.pid)], check=True)
        self.worker.join(0.3)
        assert self.worker.is_alive()
        self.phases += 1


@pytest.mark.skipif(not worker_signals.SUPPORTED, reason='needs sigtimedwait')
def test_workers_of_an_early_evaluation_are_shielded(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        val_dataloader__num_workers=1,
        val_dataloader__persistent_workers=True,
    )
    hook = StartsValidation()
    make_runner(cfg, [hook]).train()
    assert hook.phases == 2


def test_signal_handlers_are_given_back(image_folders, tmp_path, monkeypatch):
    import signal

    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )

    class Terminate(Hook):
        def after_lower_step(self, runner, logs):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as exit_info:
        make_runner(cfg, [Terminate()]).train()
    assert exit_info.value.code == 143
    assert names(tmp_path) == ['iter_0_lower_1.pth']
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert before == after


STOCK = """
import json, sys
sys.modules['bissl_mm'] = None          # importing it raises
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import ImageClassifier
init_default_scope('mmpretrain')
cfg = Config.fromfile(sys.argv[1])
cfg.model.backbone.update(json.loads(sys.argv[3]), init_cfg=dict(
    type='Pretrained', checkpoint=sys.argv[2], prefix='backbone.'))
cfg.model.head.update(in_channels=8)
model = MODELS.build(cfg.model)
before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
model.init_weights()
exported = torch.load(sys.argv[2], weights_only=True)['state_dict']
own = model.backbone.state_dict()
assert set(exported) == {'backbone.' + k for k in own}, 'names differ'
matched = sum(torch.equal(exported['backbone.' + k], v)
              for k, v in own.items())
changed = sum(not torch.equal(before[k], v) for k, v in own.items())
print('matched', matched, 'of', len(own), 'changed', changed)
"""


@pytest.mark.whole
def test_export_loads_into_stock_mmpretrain(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    runner = make_runner(cfg)
    runner.train()
    exported = torch.load(tmp_path / 'backbone.pth', weights_only=True)
    own = weights(runner)
    for name, value in exported['state_dict'].items():
        assert torch.equal(value, own['pretext.' + name]), name
    config = os.path.join(
        os.path.dirname(__file__), '../../configs/fine_tune/r18_64px.py'
    )
    result = subprocess.run(
        [sys.executable, '-c', STOCK, config, tmp_path / 'backbone.pth']
        + [json.dumps(NETWORK)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    # Two stages of a ResNet-18: 10 convolutions, 10 norms of 5 tensors. Their biases
    # and factors may begin where they end.
    found = re.search(r'matched 60 of 60 changed (\d+)', result.stdout)
    assert found and int(found[1]) >= 40, result.stdout


def fake_runner(outputs):
    warnings = []
    wrapper = SimpleNamespace(
        system=SimpleNamespace(
            solver=RecyclingSolver(),
            regularizer=SquaredDistance(0.001),
            config=HypergradientSettings(),
        )
    )
    return warnings, SimpleNamespace(
        optim_wrapper=wrapper,
        logger=SimpleNamespace(warning=warnings.append),
        message_hub=SimpleNamespace(runtime_info={}),
    )


@pytest.mark.parametrize(
    'outputs, text',
    [
        (
            {'upper/residual': 37.0},
            'not solved: residual 37 .* direction is unreliable',
        ),
        ({'upper/residual': float('nan')}, 'residual nan'),
        ({'upper/residual': 2.0, 'upper/estimated': 0.2}, 'extrapolate=False'),
        ({'upper/min_curvature': -2.0}, 'curvature -2 was met'),
        ({'upper/cosine': -0.5}, 'points against v'),
    ],
)
def test_monitor_warns_once_in_words(outputs, text):
    warnings, runner = fake_runner(outputs)
    hook = SolverMonitorHook()
    for i in range(3):
        hook.after_train_iter(runner, i, outputs=outputs)
    assert len(warnings) == 1
    import re

    assert re.search(text, warnings[0])
    assert 'lambda 0.001, damping 10.0' in warnings[0]


def test_monitor_is_silent_about_a_good_solve():
    outputs = {'upper/residual': 0.1, 'upper/min_curvature': 0.5, 'upper/cosine': 0.9}
    warnings, runner = fake_runner(outputs)
    SolverMonitorHook().after_train_iter(runner, 0, outputs=outputs)
    assert warnings == []


def test_monitor_says_at_the_end_what_was_assumed():
    outputs = {'lower/stationarity': 0.25, 'upper/min_curvature': 0.5}
    _, runner = fake_runner(outputs)
    infos = []
    runner.logger.info = infos.append
    hook = SolverMonitorHook()
    hook.after_train(runner)
    assert infos == []
    hook.after_train_iter(runner, 0, outputs={'lower/stationarity': 0.75})
    hook.after_train_iter(runner, 1, outputs=outputs)
    hook.after_train(runner)
    (line,) = infos
    assert 'parts 0.25 (0: stationary' in line and 'met 0.5 (above 0)' in line
    assert 'residual' not in line
    # Of a solver without products.
    hook.after_train_iter(
        runner,
        2,
        outputs={'lower/stationarity': 0.5, 'upper/min_curvature': float('inf')},
    )
    hook.after_train(runner)
    assert 'curvature' not in infos[-1]


@contextmanager
def safe_loading():
    """Set what the tools set for their process, and undo it afterwards."""
    schemes = dict(CheckpointLoader._schemes)
    use_safe_loading()
    yield
    CheckpointLoader._schemes = schemes


class Payload:
    """An object that runs code when it is fully unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, 'w'))


@pytest.mark.parametrize('how', ['zip', 'pickle', 'nested'])
def test_hostile_checkpoint_is_refused_not_run(how, tmp_path):
    trace, path = tmp_path / 'executed', tmp_path / 'evil.pth'
    evil = Payload(str(trace))
    if how == 'pickle':
        path.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        torch.save(
            dict(state_dict=dict(a=torch.ones(1)), meta=evil)
            if how == 'nested'
            else evil,
            path,
        )
    with pytest.raises((UnsafeCheckpointError, ValueError)):
        load_checkpoint(str(path))
    with safe_loading(), pytest.raises((UnsafeCheckpointError, ValueError)):
        CheckpointLoader.load_checkpoint(str(path))
    assert not trace.exists()


def test_own_checkpoints_load_safely(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=2
    )
    runner = make_runner(cfg)
    runner.train()
    path = str(tmp_path / 'iter_2.pth')
    checkpoint = load_checkpoint(path)
    with safe_loading():
        CheckpointLoader.load_checkpoint(path)
    assert set(checkpoint['optimizer']) == {'lower', 'upper', 'head_warmup'}
    for name, value in weights(runner).items():
        assert torch.equal(checkpoint['state_dict'][name], value)


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04torn', b'text'])
def test_damaged_file_is_named(content, tmp_path):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='broken.pth'):
        load_checkpoint(str(path))


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        load_checkpoint('nowhere.pth')


def test_atomic_write_leaves_the_old_file_on_failure(tmp_path):
    path = str(tmp_path / 'a.pth')
    save_atomically(dict(x=torch.ones(2)), path)
    with pytest.raises(Exception):
        save_atomically(dict(x=lambda: 0), path)
    assert load_checkpoint(path)['x'].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ['a.pth']


def test_a_resumed_checkpoint_names_no_file_elsewhere(tmp_path):
    inside, outside = str(tmp_path / 'run/best_1.pth'), str(tmp_path / 'a')
    checkpoint = dict(
        message_hub=dict(
            runtime_info=dict(
                best_ckpt=outside, best_ckpt_mIoU=inside, keep_ckpt_ids=['../x']
            )
        )
    )
    runner = SimpleNamespace(
        _resume=True,
        work_dir=str(tmp_path / 'run'),
        logger=SimpleNamespace(warning=print),
    )
    ResumedPathsHook().after_load_checkpoint(runner, checkpoint)
    info = checkpoint['message_hub']['runtime_info']
    assert info == dict(best_ckpt=None, best_ckpt_mIoU=inside, keep_ckpt_ids=[])


def test_best_checkpoints_that_a_resumed_one_does_not_know_are_named(tmp_path):
    known, other, elsewhere = (
        tmp_path / 'run/best_mIoU_iter_4.pth',
        tmp_path / 'run/best_mIoU_iter_8.pth',
        tmp_path / 'out/run/best_acc_epoch_9.pth',
    )
    elsewhere.parent.mkdir(parents=True)
    known.parent.mkdir()
    # The last one is no checkpoint.
    for path in (known, other, elsewhere, tmp_path / 'run/best_backbone.pth'):
        path.touch()
    lines = []
    runner = SimpleNamespace(
        _resume=True,
        work_dir=str(tmp_path / 'run'),
        hooks=[SimpleNamespace(out_dir=str(tmp_path / 'out'))],
        logger=SimpleNamespace(warning=lines.append),
    )
    info = dict(best_ckpt=str(known))
    checkpoint = dict(message_hub=dict(runtime_info=info))
    ResumedPathsHook().after_load_checkpoint(runner, checkpoint)
    (line,) = lines
    assert f"does not know '{elsewhere}', '{other}': written after" in line
    for path in (other, elsewhere):
        path.unlink()
    ResumedPathsHook().after_load_checkpoint(runner, checkpoint)
    assert lines == [line] and info == dict(best_ckpt=str(known))
