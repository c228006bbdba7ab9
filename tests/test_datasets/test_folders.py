"""A message names missing data and the setting to change."""

from argparse import Namespace

import pytest
from conftest import ROOT
from small_run import CONFIG

from bissl_mm.config import read_config
from bissl_mm.datasets.folders import check_data_folders
from bissl_mm.engine.launch import load_config
from bissl_mm.utils.folders import check_work_dir, checked_output


@pytest.mark.parametrize(
    'config, task, parts, variable, value, expected',
    [
        (
            'bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py',
            None,
            ['pretext'],
            'BISSL_PRETEXT_DIR',
            None,
            'train_cfg.pretext_dataloader.dataset.data_root: the data folder '
            "'data/pretext' does not exist",
        ),
        (
            'bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py',
            None,
            ['val'],
            'BISSL_DOWNSTREAM_DIR',
            'no/such',
            "val_dataloader.dataset.data_root: the data folder 'no/such' does not",
        ),
        (
            'fine_tune/r50_96px.py',
            'voc12aug-fcn16',
            ['test'],
            'BISSL_DATA_DIR',
            'no/such',
            "'no/such/VOCdevkit/VOC2012' does not",
        ),
        (
            'fine_tune/r18_48px.py',
            'bccd-c4',
            ['val'],
            'BISSL_DATA_DIR',
            None,
            "val_dataloader.dataset.data_root: the data folder 'data/bccd_voc' ",
        ),
        (
            'pretext/simclr_r50_8xb128-500e_in1k-96px.py',
            None,
            ['train'],
            'BISSL_DATA_DIR',
            None,
            "the data folder 'data/imagenet' does not",
        ),
    ],
)
def test_a_missing_data_folder_names_key_and_variable(
    config, task, parts, variable, value, expected, monkeypatch, tmp_path
):
    if value is None:
        monkeypatch.delenv(variable, raising=False)
    else:
        monkeypatch.setenv(variable, value)
    cfg = read_config(str(ROOT / 'configs' / config), task=task)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as info:
        check_data_folders(cfg, parts)
    text = str(info.value)
    assert expected in text
    assert f'export {variable}=FOLDER' in text
    assert ('is not set' if value is None else "is 'no/such' now") in text
    assert '--cfg-options ' + text.split(':')[0].rpartition('.')[0] in text


def test_the_parts_of_a_data_folder_are_looked_for(tmp_path):
    inner = dict(
        data_root=str(tmp_path), data_prefix=dict(img='images'), ann_file='list.txt'
    )
    cfg = read_config(str(CONFIG))
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(type='Any', dataset=inner)]
    )
    key = 'train_dataloader.dataset.datasets.0.dataset.'
    with pytest.raises(FileNotFoundError, match=key + 'data_prefix.img'):
        check_data_folders(cfg, ['train'])
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.png').touch()
    with pytest.raises(FileNotFoundError, match=key + 'ann_file: the data fi'):
        check_data_folders(cfg, ['train'])
    (tmp_path / 'list.txt').touch()
    check_data_folders(cfg, ['train'])


def test_data_sets_that_download_may_be_missing(tmp_path):
    cfg = read_config(str(CONFIG))
    dataset = dict(type='mmpretrain.CIFAR10', data_root=str(tmp_path / 'new'))
    cfg.train_dataloader.dataset = dataset
    check_data_folders(cfg, ['train'])
    dataset['type'] = 'mmpretrain.CustomDataset'
    cfg.train_dataloader.dataset = dataset
    with pytest.raises(FileNotFoundError, match='new'):
        check_data_folders(cfg, ['train'])


@pytest.mark.parametrize('below', ['', 'sub'])
def test_a_folder_without_a_file_is_as_good_as_missing(below, tmp_path):
    (tmp_path / below / 'deep').mkdir(parents=True)
    cfg = read_config(str(CONFIG))
    dataset = cfg.train_cfg.pretext_dataloader.dataset
    dataset.update(data_root=str(tmp_path), data_prefix=below)
    with pytest.raises(FileNotFoundError, match='contains no file.*data_root='):
        check_data_folders(cfg, ['pretext'])
    (tmp_path / below / 'deep' / 'a.png').touch()
    check_data_folders(cfg, ['pretext'])


@pytest.mark.parametrize(
    'below, text',
    [
        ('file', 'is a file'),
        ('file/run', 'is a file'),
        ('nowhere/run', 'is not writable'),
    ],
)
def test_a_work_folder_that_cannot_be_written(below, text, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    if text == 'is not writable':
        # root can write everywhere.
        monkeypatch.setattr('os.access', lambda path, mode: False)
    with pytest.raises(OSError, match=f'{text}. Type --work-dir'):
        check_work_dir(str(tmp_path / below))
    monkeypatch.undo()
    check_work_dir(str(tmp_path / 'new' / 'run'))
    assert not (tmp_path / 'new').exists()


def test_a_work_folder_has_a_name():
    with pytest.raises(OSError, match="Work folder '' cannot be used: it has no name"):
        check_work_dir('')


def test_a_home_folder_is_meant(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    path = str(ROOT / 'configs/fine_tune/r18_48px.py')
    args = dict(config=path, launcher='none', local_rank=0, cfg_options=None)
    cfg = load_config(Namespace(**args, work_dir='~/run'))
    assert cfg.work_dir == str(tmp_path / 'run')
    assert checked_output('--out', '~/a.html') == str(tmp_path / 'a.html')


@pytest.mark.parametrize(
    'below, text',
    [
        ('file/out.html', 'is a file'),
        ('folder', 'it is a folder'),
        ('nowhere/', 'it names no file'),
        ('nowhere/out.html', 'is not writable'),
    ],
)
def test_a_result_that_cannot_be_written(below, text, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    if text == 'is not writable':
        monkeypatch.setattr('os.access', lambda path, mode: False)
    with pytest.raises(OSError, match=f'^--out .*{text}. Type the path of a file'):
        checked_output('--out', str(tmp_path) + '/' + below)
    monkeypatch.undo()
    path = str(tmp_path / 'new/out.html')
    assert checked_output('--out', path) == path


def test_a_result_does_not_replace_what_it_is_made_of(tmp_path):
    source, link = tmp_path / 'only.pth', tmp_path / 'link.pth'
    source.touch()
    link.symlink_to(source)
    for path in (source, tmp_path / 'x' / '..' / 'only.pth', link):
        (tmp_path / 'x').mkdir(exist_ok=True)
        with pytest.raises(OSError, match='^OUT .* is the file that is read, .*only'):
            checked_output('OUT', str(path), str(source))
    other = str(tmp_path / 'other.pth')
    assert checked_output('OUT', other, str(source)) == other
    assert checked_output('OUT', other, 'https://an.address/only.pth') == other
