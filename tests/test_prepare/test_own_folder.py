"""Class folders of the user's own become the three parts that configs read."""

import json

import numpy as np
import pytest
from layout_parts import class_folders, picture
from mmengine.registry import DATASETS, init_default_scope
from raw_downloads import files
from task_configs import shipped
from tool_runs import tool

import bissl_mm.engine  # noqa: F401
from bissl_mm.datasets.folders import check_data_folders
from bissl_mm.prepare import prepare_own_folder
from bissl_mm.utils.errors import FileNotFoundRefusal, OSRefusal, ValueRefusal

__all__ = ['tool']


@pytest.fixture
def flat(tmp_path):
    """Two classes with ten and four images, and a text that is none."""
    rng = np.random.default_rng(0)
    for name, number in (('ape', 10), ('bee', 4)):
        class_folders(tmp_path, rng, [name], size=(12, 10), flat=number)
    (tmp_path / 'flat/bee/deep').mkdir()
    (tmp_path / 'flat/bee/0003.jpg').rename(tmp_path / 'flat/bee/deep/0.JPG')
    (tmp_path / 'flat/bee/notes.txt').write_text('none')
    return tmp_path / 'flat'


def parts(out) -> dict:
    return {
        part: sorted(
            path.relative_to(out / part).as_posix()
            for path in (out / part).rglob('*')
            if path.is_file()
        )
        for part in ('train', 'val', 'test')
    }


def test_each_class_is_divided_by_the_seed(flat, tmp_path):
    before = files(flat)
    for name, options in (('a', {}), ('b', {}), ('c', dict(seed=1))):
        prepare_own_folder(str(flat), str(tmp_path / name), **options)
    assert files(flat) == before
    found = parts(tmp_path / 'a')
    assert found == parts(tmp_path / 'b') != parts(tmp_path / 'c')
    # Every image once, with its content.
    assert sorted(sum(found.values(), [])) == sorted({*before} - {'bee/notes.txt'})
    for part, images in found.items():
        for image in images:
            assert (tmp_path / 'a' / part / image).read_bytes() == before[image]
    numbers = {
        part: [sum(i.startswith(name) for i in images) for name in ('ape', 'bee')]
        for part, images in found.items()
    }
    assert numbers == dict(train=[6, 2], val=[2, 1], test=[2, 1])
    settings = json.loads((tmp_path / 'c/prepared.json').read_text())
    assert settings['seed'] == 1 and settings['split'] == '60/20/20'
    assert settings['images'] == dict(train=8, val=3, test=3)
    prepare_own_folder(str(flat), str(tmp_path / 'd'), shares=(80, 10, 10))
    assert [len(images) for images in parts(tmp_path / 'd').values()] == [10, 2, 2]


def test_the_configs_read_it_and_the_tool_says_what_to_type(
    flat, tool, tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'mine'
    cfg = shipped('fine_tune/r18_64px')
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = str(flat)
    with pytest.raises(FileNotFoundRefusal) as refused:
        check_data_folders(cfg, ['train'])
    message = str(refused.value)
    assert "has the class folders ('ape', 'bee', ...) itself" in message
    assert 'train/<class>, val/<class> and test/<class>' in message
    assert f'prepare_dataset.py folder {flat} --out FOLDER' in message
    tool('prepare_dataset', 'folder', flat, '--out', out, '--shares', 50, 25, 25)
    printed = capsys.readouterr().out
    assert f'export BISSL_DOWNSTREAM_DIR={out} BISSL_NUM_CLASSES=2' in printed
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(out))
    cfg = shipped('fine_tune/r18_64px')
    check_data_folders(cfg, ['train', 'val', 'test'])
    init_default_scope('mmpretrain')
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert [len(DATASETS.build(loader.dataset)) for loader in loaders] == [6, 4, 4]


def test_damaged_images_are_named_or_left_out(flat, tmp_path):
    whole = (flat / 'ape/0001.jpg').read_bytes()
    (flat / 'ape/0001.jpg').write_bytes(whole[: len(whole) // 2])
    (flat / 'ape/0002.jpg').write_bytes(b'')
    with pytest.raises(
        ValueRefusal, match=r"ape/0001.jpg' and 1 more cannot be .*--allow-incomplete"
    ):
        prepare_own_folder(str(flat), str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
    splits = prepare_own_folder(str(flat), str(tmp_path / 'out'), allow_incomplete=True)
    assert '2 that cannot be opened left out' in splits[0].remark
    assert not {'ape/0001.jpg', 'ape/0002.jpg'} & set(
        sum(parts(tmp_path / 'out').values(), [])
    )


@pytest.mark.parametrize(
    'change, options, error, match',
    [
        (lambda f: None, dict(shares=(60, 20, 10)), ValueRefusal, 'make 100'),
        (lambda f: None, dict(shares=(80, 20, 0)), ValueRefusal, 'at least 1'),
        (lambda f: (f / 'cow').mkdir(), {}, ValueRefusal, "flat/cow' has no image"),
        (lambda f: (f / 'val').mkdir(), {}, ValueRefusal, "divided .*'val'"),
        (lambda f: (f.parent / 'out').mkdir(), {}, OSRefusal, 'exists already'),
        (lambda f: f.rename(f.parent / 'x'), {}, FileNotFoundRefusal, 'not a folder'),
        (lambda f: None, dict(out='flat/out'), ValueRefusal, 'within the source'),
        (lambda f: None, dict(out='flat'), ValueRefusal, 'within the source'),
        (lambda f: (f / 'ape').rename(f.parent / 'x'), {}, ValueRefusal, 'has 1 class'),
    ],
)
def test_refusals(change, options, error, match, flat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(flat)
    with pytest.raises(error, match=match):
        prepare_own_folder('flat', **dict(dict(out='out'), **options))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_a_class_of_two_images_is_refused(flat, tmp_path):
    (flat / 'cow').mkdir()
    for i in range(2):
        picture(np.random.default_rng(i), (8, 8)).save(flat / f'cow/{i}.png')
    with pytest.raises(ValueRefusal, match="'cow' has 2 images"):
        prepare_own_folder(str(flat), str(tmp_path / 'out'))


@pytest.mark.parametrize(
    'arguments, match',
    [
        (['folder', 'flat'], 'folder flat --out DIR'),
        (['folder', 'flat', 'out'], 'folder flat --out DIR'),
        (['folder', 'flat', '--out', 'o', '--counts', 'a=1'], '--counts and --split'),
        (['dtd5', 'flat', '--out', 'o'], '--out is for class folders'),
        (['dtd5', 'flat', '--shares', '6', '2', '2'], '--shares is for class folders'),
    ],
)
def test_options_of_another_entry_are_refused(arguments, match, tool, capsys):
    with pytest.raises(SystemExit, match='1'):
        tool('prepare_dataset', *arguments)
    assert match in capsys.readouterr().err
