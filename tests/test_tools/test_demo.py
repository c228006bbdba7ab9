"""The demos, a few steps of everything."""

import json

import pytest
from tool_runs import tool

__all__ = ['tool']
pytestmark = pytest.mark.slow


@pytest.mark.usefixtures('plain_config_text')
@pytest.mark.parametrize('task', ['classification', 'detection',
                                  'segmentation'])
def test_demo_in_quick_mode(task, tool, tmp_path, capfd):
    tool('demo', '--quick', '--task', task, '--work-dir', tmp_path)
    assert 'exact permutation p' in capfd.readouterr().out
    results = json.loads((tmp_path / 'results.json').read_text())
    assert [a['name'] for a in results['arms']] == ['FT', 'BiSSL+FT']
    assert all(len(a['test']) == 1 for a in results['arms'])
    page = (tmp_path / 'report.html').read_text()
    assert page.count('<img src="data:image/png') == 5
