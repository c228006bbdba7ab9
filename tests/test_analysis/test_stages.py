"""Folders of stages that continue, and folders that are not touched."""

import pytest
from mmengine.config import Config

from bissl_mm.analysis.demo.stages import Stage, move_aside
from bissl_mm.utils.errors import ValueRefusal


def stage(tmp_path, *before, name='stage', **cfg):
    return Stage(str(tmp_path / name), Config(cfg), str(tmp_path), *before)


def test_a_stage_is_gone_on_with_and_then_finished(tmp_path):
    first = stage(tmp_path, lr=1)
    first.check()
    assert not first.begun
    first.begin()
    again = stage(tmp_path, lr=1)
    again.check()
    assert again.begun and not again.finished
    again.finish(12.0)
    last = stage(tmp_path, lr=1)
    assert last.finished and last.seconds == 12.0


@pytest.mark.parametrize('change', ['config', 'before'])
def test_other_settings_are_refused_with_what_to_type(tmp_path, change):
    before = stage(tmp_path, name='before', lr=1)
    stage(tmp_path, before, lr=1).begin()
    other = (
        stage(tmp_path, before, lr=2)
        if change == 'config'
        else stage(tmp_path, stage(tmp_path, name='before', lr=2), lr=1)
    )
    with pytest.raises(
        ValueRefusal, match='other settings .config .*--work-dir .*--fresh'
    ):
        other.check()


def test_files_of_something_else_are_left_alone(tmp_path):
    mine = tmp_path / 'stage' / 'thesis.txt'
    mine.parent.mkdir()
    mine.write_text('mine')
    with pytest.raises(ValueRefusal, match='no demo wrote.*--fresh'):
        stage(tmp_path, lr=1).check()
    for number in (1, 2):
        target = move_aside(str(tmp_path), ['stage', 'missing'])
        assert target == str(tmp_path / f'earlier-{number}')
        assert (tmp_path / f'earlier-{number}/stage/thesis.txt').exists()
        mine.parent.mkdir()
        mine.write_text('mine')
    mine.unlink()
    mine.parent.rmdir()
    assert move_aside(str(tmp_path), ['stage']) is None
