"""The demos, a few steps of everything."""

import json
import shutil

import pytest
from tool_runs import tool

from bissl_mm.analysis.finished_runs import FinishedRuns
from bissl_mm.engine import ProgressBarHook

__all__ = ['tool']
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('plain_config_text')]


def numbers(work_dir):
    arms = json.loads((work_dir / 'results.json').read_text())['arms']
    return [{name: arm[name] for name in ('search', 'val', 'test', 'setting')}
            for arm in arms]


@pytest.fixture(scope='module')
def whole(tool, tmp_path_factory):
    """A demo that nothing interrupted, with runs side by side."""
    work_dir = tmp_path_factory.mktemp('demo')
    tool('demo', '--quick', '--work-dir', work_dir, '--workers', 2)
    return work_dir


@pytest.mark.parametrize('task', [
    'classification',
    pytest.param('detection',
                 marks=[pytest.mark.mmcv_ops, pytest.mark.whole]),
    pytest.param('segmentation', marks=pytest.mark.whole)])
def test_demo_in_quick_mode(task, tool, whole, tmp_path):
    work_dir = whole
    if task != 'classification':
        work_dir = tmp_path
        tool('demo', '--quick', '--task', task, '--work-dir', work_dir,
             '--workers', 1)
    results = json.loads((work_dir / 'results.json').read_text())
    assert [a['name'] for a in results['arms']] == ['FT', 'BiSSL+FT']
    assert all(len(a['test']) == 1 for a in results['arms'])
    page = (work_dir / 'report.html').read_text()
    assert page.count('<img src="data:image/png') == 5


def test_finished_stages_are_kept_and_workers_change_nothing(tool, whole,
                                                             capfd):
    before = numbers(whole)
    weights = whole / 'bissl' / 'backbone.pth'
    written = weights.stat().st_mtime_ns
    shutil.rmtree(whole / 'fine_tune')
    tool('demo', '--quick', '--work-dir', whole, '--workers', 1)
    assert numbers(whole) == before
    assert weights.stat().st_mtime_ns == written
    assert capfd.readouterr().out.count('finished before') == 2


def test_demo_goes_on_in_every_stage(tool, whole, tmp_path, monkeypatch,
                                     capfd):
    def stop_after(count, method):
        calls = []

        def counted(*args, **kwargs):
            calls.append(method(*args, **kwargs))
            if len(calls) == count:
                raise KeyboardInterrupt
        return counted

    def run():
        tool('demo', '--quick', '--work-dir', tmp_path, '--workers', 1)

    # In the second epoch, in the second alternation, after the third run.
    for owner, name, count in ((ProgressBarHook, 'after_train_iter', 2),
                               (ProgressBarHook, 'after_upper_step', 2),
                               (FinishedRuns, 'add', 3)):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name,
                          stop_after(count, getattr(owner, name)))
            with pytest.raises(SystemExit) as status:
                run()
        assert status.value.code == 130
        assert 'goes on from here' in capfd.readouterr().err
    run()
    assert numbers(tmp_path) == numbers(whole)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['resumed'] == ['pretext', 'bissl', 'fine_tune']
