"""Environment variables reach a config as data, whatever their text."""

import os

import pytest
from small_run import CONFIG

from bissl_mm.config import read_config

NASTY = (
    "O'Brien",
    'back\\slash',
    'new\\nline',
    'a "b"',
    'a,b c',
    '{x}',
    "x' + str(1/0) + '",
    'Zürich',
    '{{_base_.model}}',
    'end\\',
)


@pytest.mark.parametrize('folder', NASTY)
def test_any_folder_name_reaches_the_config(folder, monkeypatch):
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', folder)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', folder + '/images')
    cfg = read_config(str(CONFIG))
    assert cfg.train_dataloader.dataset.data_root == folder
    assert cfg.train_cfg.pretext_dataloader.dataset.data_root == folder + '/images'


@pytest.mark.parametrize(
    'text, value',
    [
        ('"{{$V:x}}/a"', NASTY[0] + NASTY[3]),
        ("'''{{$V:x}}'''", NASTY[3] + NASTY[1]),
        ("f'{{$V:x}}' + f'{1 + 1}'", NASTY[5]),
        ("r'{{$V:x}}'", 'plain/folder'),
    ],
)
def test_each_form_of_string_is_served(text, value, monkeypatch, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f'work_dir = {text}  # {{{{$V:x}}}}\n')
    monkeypatch.setenv('V', value)
    ending = {'"{': '/a', "f'": '2'}.get(text[:2], '')
    assert read_config(str(path)).work_dir == value + ending


def test_a_raw_string_that_cannot_hold_it_is_refused(monkeypatch, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("work_dir = r'{{$V:x}}'\n")
    monkeypatch.setenv('V', NASTY[0])
    with pytest.raises(ValueError, match='V is "O\'Brien". The config uses it'):
        read_config(str(path))


@pytest.mark.parametrize('value, number', [('3', 3), (' 17 ', 17)])
def test_a_number_of_classes_is_read(value, number, monkeypatch):
    monkeypatch.setenv('BISSL_NUM_CLASSES', value)
    assert read_config(str(CONFIG)).model.downstream.head.num_classes == number


@pytest.mark.parametrize(
    'value, text',
    [
        ('__import__("os").environ.update(RAN="1") or 3', 'a whole number'),
        ('[__import__("os").environ.update(RAN="1")] and 3', 'a whole number'),
        ('three', "'three', but must be a whole number"),
        ('3.5', "'3.5', but must be a whole number"),
        ('', 'BISSL_NUM_CLASSES is empty.* unset'),
    ],
)
def test_what_is_no_number_is_named_and_not_run(value, text, monkeypatch):
    monkeypatch.delenv('RAN', raising=False)
    monkeypatch.setenv('BISSL_NUM_CLASSES', value)
    with pytest.raises(ValueError, match=text):
        read_config(str(CONFIG))
    assert 'RAN' not in os.environ


@pytest.mark.parametrize(
    'default, value, expected',
    [
        ('0.1', '2', 2.0),
        ('1e-3', 'inf', float('inf')),
        ("('a',)", "['b', 'c']", ['b', 'c']),
        ('None', "'a'", 'a'),
    ],
)
def test_other_literals_are_read_by_kind(
    default, value, expected, monkeypatch, tmp_path
):
    path = tmp_path / 'config.py'
    path.write_text(f'custom_hooks = {{{{"$V:{default}"}}}}\n')
    monkeypatch.setenv('V', value)
    assert read_config(str(path)).custom_hooks == expected


def test_a_variable_without_default_has_to_be_set(monkeypatch, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("work_dir = '{{$V:}}'\n")
    monkeypatch.delenv('V', raising=False)
    with pytest.raises(ValueError, match='V, which is not set.*export V='):
        read_config(str(path))


def test_the_folder_of_a_config_may_have_any_name(tmp_path):
    folder = tmp_path / "O'Brien, A"
    folder.mkdir()
    path = folder / 'config.py'
    path.write_text("work_dir = '{{ fileDirname }}/out'\n")
    assert read_config(str(path)).work_dir == f'{folder}/out'
