"""The look over the data at the start of a stage."""

import logging

import look_data
import pytest

from bissl_mm.datasets.look import look as look_module
from bissl_mm.engine.checks import data_look
from bissl_mm.engine.checks.data_look import check_data
from bissl_mm.utils.errors import Refusal

LOG = logging.getLogger('test_data_look')


@pytest.fixture()
def renumbered(tmp_path, monkeypatch):
    """The validation split lacks a class folder, so its numbers shift."""
    monkeypatch.delenv('BISSL_LOOK')
    look_data.write_parts(tmp_path, ['train'])
    look_data.write_parts(tmp_path, ['val'], kinds=['bee', 'cow'])
    return look_data.config(tmp_path)


def test_what_is_refused_ends_the_run(renumbered):
    with pytest.raises(Refusal, match='bee(.|\n)*BISSL_LOOK=0'):
        check_data(renumbered, ['train', 'val'], LOG)


@pytest.mark.parametrize('value', ['0', 'false', 'NO', 'off'])
def test_the_look_can_be_left_out(value, renumbered, monkeypatch, caplog):
    monkeypatch.setenv('BISSL_LOOK', value)
    check_data(renumbered, ['train', 'val'], LOG)
    assert f'not looked at: BISSL_LOOK={value}.' in caplog.text


@pytest.mark.parametrize('value', ['1', 'true', ''])
def test_the_look_can_be_asked_for(value, renumbered, monkeypatch):
    monkeypatch.setenv('BISSL_LOOK', value)
    with pytest.raises(Refusal, match='bee'):
        check_data(renumbered, ['train', 'val'], LOG)


def test_the_look_has_no_third_setting(renumbered, monkeypatch):
    monkeypatch.setenv('BISSL_LOOK', 'quick')
    with pytest.raises(Refusal, match="BISSL_LOOK is 'quick', which is neither on nor"):
        check_data(renumbered, ['train', 'val'], LOG)


def test_a_bug_in_a_check_is_told_and_the_others_go_on(renumbered, monkeypatch, caplog):
    def check_stars(look):
        raise ZeroDivisionError('no stars')

    monkeypatch.setattr(data_look, 'RAISE_BUGS', False)
    monkeypatch.setattr(
        look_module, 'FILE_CHECKS', (check_stars, *look_module.FILE_CHECKS)
    )
    with pytest.raises(Refusal, match='bee'):
        check_data(renumbered, ['train', 'val'], LOG)
    assert 'check_stars failed (ZeroDivisionError: no stars)' in caplog.text
