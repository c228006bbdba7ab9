"""Curves and times from the logs of runs."""

import json
from pathlib import Path

import pytest
from tool_runs import tool

from bissl_mm.analysis.logs import named_folders, panels_of, run_time
from bissl_mm.utils.errors import Refusal

__all__ = ['tool']


def write_run(folder, starts):
    """A work folder with a log and scalars for each start."""
    for i, (lines, records) in enumerate(starts):
        place = folder / f'2026010{i}_000000'
        (place / 'vis_data').mkdir(parents=True)
        (place / f'{place.name}.log').write_text('\n'.join(lines))
        (place / 'vis_data/scalars.json').write_text(
            '\n'.join(json.dumps(r) for r in records)
        )
    return str(folder)


@pytest.fixture
def stage(tmp_path):
    """Stopped after the second alternation, and resumed from the first one."""
    return write_run(
        tmp_path / 'stage',
        [
            (
                [
                    '2026/01/01 23:59:00 - mmengine - INFO - ',
                    'torch: 2026/01/05 00:00:00 is no stamp',
                    '2026/01/01 23:59:30 - mmengine - INFO - Processes: 4 (cpu, 1 '
                    'thread(s) each), seed 0',
                    '2026/01/02 00:29:00 - mmengine - INFO - stopped',
                ],
                [
                    {'regime/lambda': 0.1, 'step': 1, 'time': 3.0},
                    {'regime/lambda': 0.2, 'step': 2, 'time': 3.0},
                ],
            ),
            (
                [
                    '2026/01/03 10:00:00 - mmengine - INFO - Processes: 2 (cpu',
                    '2026/01/03 10:30:00 - mmengine - WARNING - end',
                ],
                [
                    {'regime/lambda': 0.3, 'step': 2, 'time': 3.0},
                    {'accuracy/top1': 50.0, 'step': 2},
                ],
            ),
        ],
    )


def test_time_is_that_of_all_starts(stage):
    found = run_time(stage)
    assert found == (3600.0, 4, 2)
    assert found.device_hours == 4.0


def test_curves_have_the_values_that_counted(stage):
    ((key, label, lines, logarithmic),) = panels_of({'a': stage}, ['regime/lambda'])
    assert (key, label, logarithmic) == ('regime/lambda', 'alternation', False)
    assert lines == {'a': dict(step=[1, 2], value=[0.1, 0.3])}
    # A kill cut off the last line of the second start.
    path = sorted(Path(stage).glob('*/vis_data/scalars.json'))[-1]
    path.write_text(path.read_text() + '\n{"regime/lambda": 0.')
    ((_, _, cut, _),) = panels_of({'a': stage}, ['regime/lambda'])
    assert cut == lines
    # Without keys, those of a stage that are logged.
    assert [panel[0] for panel in panels_of({'a': stage}, None)] == ['regime/lambda']


def test_another_training_shows_what_it_has(tmp_path):
    records = [{'loss': 1.0, 'time': 3.0, 'step': 1}]
    run = write_run(tmp_path / 'pretext', [([], records)])
    assert [panel[0] for panel in panels_of({'a': run}, None)] == ['loss']


def test_names_of_runs(tmp_path):
    odd = tmp_path / 'lr=0.1'
    odd.mkdir()
    assert named_folders(['a=x/y', str(odd), 'x/z/']) == {
        'a': 'x/y',
        'lr=0.1': str(odd),
        'z': 'x/z/',
    }
    inner = odd / 'run'
    inner.mkdir()
    assert named_folders([f'a={inner}', f'b=2={odd}']) == {
        'a': str(inner),
        'b=2': str(odd),
    }
    with pytest.raises(Refusal, match="'y': x/y and z/y. Write NAME=FOLDER"):
        named_folders(['x/y', 'z/y'])


def test_what_is_not_there_is_named(stage, tmp_path):
    with pytest.raises(Refusal, match="'regime/lambd'. Did you mean 'regime/lambda'"):
        panels_of({'a': stage}, ['regime/lambd'])
    for read in (run_time, lambda path: panels_of({'a': path}, None)):
        with pytest.raises(Refusal, match='Give the work folder'):
            read(str(tmp_path))


def test_tools(stage, tmp_path, capsys, tool):
    out = tmp_path / 'new/curves.svg'
    tool('analyze_logs', f'all={stage}', '--out', out)
    assert '0.1 -> 0.3' in capsys.readouterr().out
    assert out.read_text().count('<svg') == 1
    with pytest.raises(SystemExit):
        tool('analyze_logs', stage, '--out', tmp_path / 'curves.gif')
    assert 'gif' in capsys.readouterr().err
    assert not (tmp_path / 'curves.gif').exists()
    path = tmp_path / 'times.json'
    tool('analysis/compute_time', f'bissl={stage}', '--json', path)
    assert '| bissl | 1.00 | 4 | 4.00 | 2 |' in capsys.readouterr().out
    assert json.loads(path.read_text())['bissl']['device_hours'] == 4.0
