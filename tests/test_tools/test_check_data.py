"""The look over the data in the command-line tools."""

import re

import numpy as np
import pytest
from conftest import ROOT
from look_data import noise, write_parts
from PIL import Image
from tool_runs import tool

__all__ = ['tool']
CONFIG = ROOT / 'configs/fine_tune/r18_64px.py'


@pytest.fixture
def data(tool, tmp_path, monkeypatch):
    """A correct folder instead of the config's."""
    write_parts(tmp_path / 'data', ('train', 'val', 'test'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'data'))
    return tmp_path / 'data'


def test_check_data_prints_all_and_ends_with_status_one(tool, data, capsys):
    tool('check_data', CONFIG)
    out = capsys.readouterr().out
    assert re.search(r'^  test    6 samples, sizes 24 x 20', out, re.M)
    assert '0 refused, 0 warning(s).' in out
    (data / 'train/aphid').mkdir()
    with pytest.raises(SystemExit, match='1'):
        tool('check_data', CONFIG)
    out = capsys.readouterr().out
    assert out.count("has no class folder 'aphid'") == 2
    assert '2 refused' in out
    # Only the test split is correct.
    tool('check_data', CONFIG, '--parts', 'test')


def test_check_data_reads_all_pixels(tool, data, capsys):
    rng = np.random.default_rng(3)
    for i in range(90):
        Image.fromarray(noise(rng) * (i != 44)).save(data / f'train/bee/{i:02}.png')
    tool('check_data', CONFIG, '--parts', 'train')
    assert '44.png' in capsys.readouterr().out


@pytest.mark.parametrize(
    'name, arguments',
    [
        ('compare_arms', ['--arm', 'A=README.md', '--settings', 1]),
        ('browse_dataset', ['--level', 'lower']),
    ],
)
def test_other_tools_look_first(name, arguments, tool, data, tmp_path, capsys):
    (data / 'train/bee/0.png').write_bytes(b'')
    with pytest.raises(SystemExit, match='1'):
        tool(name, CONFIG, *arguments, '--work-dir', tmp_path / 'work')
    captured = capsys.readouterr()
    assert 'Data looked over' in captured.out
    assert "0.png' is empty" in captured.err
    assert not list((tmp_path / 'work').rglob('*.png'))
