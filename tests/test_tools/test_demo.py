"""The demos, a few steps of everything."""

import json
import shutil

import pytest
import torch
from tool_runs import tool

from bissl_mm.analysis.runs.finished_runs import FinishedRuns
from bissl_mm.analysis.scalars import read_scalars
from bissl_mm.engine import ProgressBarHook, RegimeHook

__all__ = ['tool']
pytestmark = [
    pytest.mark.slow,
    # One worker has the demo that others are compared with.
    pytest.mark.xdist_group('demo'),
    pytest.mark.usefixtures('plain_config_text'),
]


def numbers(work_dir):
    arms = json.loads((work_dir / 'results.json').read_text())['arms']
    return [
        {name: arm[name] for name in ('search', 'val', 'test', 'setting')}
        for arm in arms
    ]


@pytest.fixture(scope='module')
def whole(tool, module_folder):
    """An uninterrupted demo with one worker."""
    work_dir = module_folder
    tool('demo', '--quick', '--work-dir', work_dir, '--workers', 1)
    return work_dir


LONG = [pytest.mark.whole, pytest.mark.long]


@pytest.mark.parametrize(
    'task',
    [
        'classification',
        pytest.param('detection', marks=[*LONG, pytest.mark.mmcv_ops]),
        pytest.param('segmentation', marks=LONG),
        pytest.param('images', marks=LONG),
    ],
)
def test_demo_in_quick_mode(task, tool, whole, tmp_path):
    work_dir = whole
    if task != 'classification':
        work_dir = tmp_path
        tool('demo', '--quick', '--task', task, '--work-dir', work_dir, '--workers', 1)
    results = json.loads((work_dir / 'results.json').read_text())
    assert [a['name'] for a in results['arms']] == ['FT', 'training twice', 'BiSSL+FT']
    # One seed per stage.
    assert all(
        a['stage_means'] == a['test'] and len(a['test']) == 2 for a in results['arms']
    )
    assert [c['against'] for c in results['comparisons']] == ['FT', 'training twice']
    page = (work_dir / 'report.html').read_text()
    assert page.count('<img src="data:image/png') == 6


def test_training_twice_has_no_pretext_task(whole):
    exported = {
        name: torch.load(whole / f'{name}-1/backbone.pth', weights_only=False)['meta'][
            'description'
        ]
        for name in ('twice', 'bissl')
    }
    assert 'upper' in exported['twice'] and 'lower' in exported['bissl']
    steps = {
        name: 'lower/pretext_loss' in read_scalars(str(whole / f'{name}-1'))
        for name in ('twice', 'bissl')
    }
    assert steps == dict(twice=False, bissl=True)


@pytest.mark.long
@pytest.mark.whole
def test_finished_stages_are_kept_and_workers_change_nothing(tool, whole, capfd):
    before = numbers(whole)
    weights = [
        whole / f'{name}/backbone.pth'
        for name in ('bissl-1', 'bissl-2', 'twice-1', 'twice-2')
    ]
    assert len({path.read_bytes() for path in weights}) == 4
    written = [path.stat().st_mtime_ns for path in weights]
    shutil.rmtree(whole / 'fine_tune')
    tool('demo', '--quick', '--work-dir', whole, '--workers', 2)
    assert numbers(whole) == before
    assert [path.stat().st_mtime_ns for path in weights] == written
    assert '1 pretraining: finished earlier' in capfd.readouterr().out
    results = json.loads((whole / 'results.json').read_text())
    assert results['resumed'] == ['pretext', 'bissl-1', 'bissl-2', 'twice-1', 'twice-2']


@pytest.mark.long
@pytest.mark.whole
def test_demo_goes_on_in_every_stage(tool, whole, tmp_path, monkeypatch, capfd):
    def stop_after(count, method):
        calls = []

        def counted(*args, **kwargs):
            calls.append(method(*args, **kwargs))
            if len(calls) == count:
                raise KeyboardInterrupt

        return counted

    def run():
        tool('demo', '--quick', '--work-dir', tmp_path, '--workers', 1)

    # In the second epoch, in the second stage, after the third run.
    for owner, name, count in (
        (ProgressBarHook, 'after_train_iter', 2),
        (RegimeHook, 'after_train_iter', 4),
        (FinishedRuns, 'add', 3),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stop_after(count, getattr(owner, name)))
            with pytest.raises(SystemExit) as status:
                run()
        assert status.value.code == 130
        assert 'continues from here' in capfd.readouterr().err
    run()
    assert numbers(tmp_path) == numbers(whole)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert {'pretext', 'bissl-1', 'bissl-2', 'fine_tune'} <= set(results['resumed'])
