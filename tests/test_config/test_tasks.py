"""``--task`` exchanges the downstream task of a config."""

import os
import re
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config
from small_run import CONFIG
from task_configs import CONFIGS, shipped
from tool_runs import options, tool

from bissl_mm.config import read_config
from bissl_mm.config.renamed import new_command
from bissl_mm.config.tasks import CHECKPOINT, TASK, default_folder, find_slot
from bissl_mm.engine.launch import load_config

__all__ = ['tool']
R18 = ROOT / 'configs/fine_tune/r18_48px.py'
VIT = ROOT / 'configs/bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px.py'
PRETEXT = ROOT / 'configs/pretext/simclr_r18_b256-20e_cifar10-48px.py'


def test_the_argument_the_variable_and_the_default_agree(monkeypatch):
    monkeypatch.delenv(TASK, raising=False)
    assert read_config(str(R18)).task == 'dtd5'
    chosen = read_config(str(R18), task='cifar10')
    assert chosen.task == 'cifar10' and TASK not in os.environ
    monkeypatch.setenv(TASK, 'cifar10')
    by_variable = read_config(str(R18))
    assert by_variable.to_dict() == chosen.to_dict()
    # Stock tools have the same config without this package's reader.
    assert {**Config.fromfile(R18).to_dict(), 'task': 'cifar10'} == chosen.to_dict()
    # The argument goes before the variable, which stays.
    assert read_config(str(R18), task='bccd-c4').task == 'bccd-c4'
    assert os.environ[TASK] == 'cifar10'


@pytest.mark.parametrize('given', ['--task', TASK])
@pytest.mark.parametrize(
    'path, task, fitting',
    [
        (R18, 'cifar', 'bccd-c4, bccd-retinanet, camvid-deeplabv3, .*, dtd5, '),
        # Another size.
        (R18, 'pets', '.*cifar10'),
        (R18, '../data/bccd', '.*cifar10'),
        (R18, 'dtd5.py', '.*cifar10'),
        # Dense tasks have no Vision Transformer.
        (VIT, 'voc0712-c4', 'aircrafts, .*, pets, stl10, sun397, voc07. '),
    ],
)
def test_an_unknown_task_is_refused_with_those_that_fit(
    given, path, task, fitting, monkeypatch
):
    monkeypatch.delenv(TASK, raising=False)
    argument = task if given == '--task' else None
    if argument is None:
        monkeypatch.setenv(TASK, task)
    joint = ' ' if given == '--task' else '='
    with pytest.raises(ValueError, match=f'{given}{joint}{task}: .*takes {fitting}'):
        read_config(str(path), task=argument)


def test_an_empty_task_is_refused():
    with pytest.raises(ValueError, match="--task '': .* takes bccd-c4, "):
        read_config(str(R18), task='')


def test_a_misspelt_task_is_answered_with_the_nearest():
    for task, near in (('flower', 'flowers'), ('sun-397', 'sun397'), ('cub', 'cub200')):
        with pytest.raises(ValueError, match=f"Did you mean '{near}'"):
            read_config(str(VIT), task=task)


def test_a_config_without_a_task_refuses_the_argument(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='--task dtd5: .* has no task to exchange'):
        read_config(str(PRETEXT), task='dtd5')
    # The variable may be there for the commands around it.
    monkeypatch.setenv(TASK, 'dtd5')
    assert 'task' not in read_config(str(PRETEXT))
    written = tmp_path / 'written.py'
    read_config(str(R18)).dump(written)
    with pytest.raises(ValueError, match="was written out with the task 'dtd5'"):
        read_config(str(written), task='cifar10')
    monkeypatch.setenv(TASK, 'cifar10')
    again = read_config(str(written))
    assert again.task == 'dtd5' and again.train_dataloader.batch_size == 40
    with pytest.raises(TypeError, match='Type --task NAME'):
        read_config(str(R18), {'task': 'cifar10'})


def test_a_config_of_the_user_takes_the_tasks_of_its_base(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = {str(R18)!r}\ntrain_cfg = dict(max_epochs=3)\n')
    cfg = read_config(str(path), task='cifar10')
    assert (cfg.task, cfg.train_cfg.max_epochs) == ('cifar10', 3)
    assert find_slot(str(path)).tasks() == find_slot(str(R18)).tasks()


def test_runs_that_differ_have_work_folders_that_differ(monkeypatch):
    def folder(path=R18, task=None, checkpoint=None):
        monkeypatch.delenv(CHECKPOINT, raising=False)
        if checkpoint:
            monkeypatch.setenv(CHECKPOINT, checkpoint)
        return default_folder(read_config(str(path), task=task), str(path))

    monkeypatch.delenv(TASK, raising=False)
    assert folder() == folder(task='dtd5') == 'work_dirs/r18_48px_dtd5'
    assert folder(task='cifar10') == 'work_dirs/r18_48px_cifar10'
    assert folder(PRETEXT) == f'work_dirs/{PRETEXT.stem}'
    stage = folder(checkpoint='work_dirs/bissl_dtd5/backbone.pth')
    other = folder(checkpoint='work_dirs/bissl_dtd5/best_backbone.pth')
    assert stage == 'work_dirs/r18_48px_dtd5_from-bissl_dtd5'
    assert other == f'{stage}-best_backbone'
    # A pretraining does not read the variable.
    assert folder(PRETEXT, checkpoint='a/b.pth') == f'work_dirs/{PRETEXT.stem}'


def test_stock_tools_refuse_a_task_of_another_network():
    for path, task in ((R18, 'pets'), (VIT, 'dtd5')):
        with pytest.raises(AssertionError, match='^The task is for .*r18_'):
            shipped(path, task)
    slots = {path: find_slot(str(path)) for path in CONFIGS}
    networks = [path for path, slot in slots.items() if slot and slot.network]
    assert len(networks) > 20
    assert all(
        '_base_.network.name in _base_.networks' in path.read_text()
        for path in networks
        if 'demo' not in path.parts
    )


def test_stock_python_reads_tasks_without_this_package(monkeypatch):
    for name in list(sys.modules):
        if name.partition('.')[0] == 'bissl_mm':
            # Importing it raises.
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv(TASK, 'camvid-fcn16')
    assert Config.fromfile(R18).default_scope == 'mmseg'


@pytest.mark.parametrize(
    'old, expected',
    [
        ('fine_tune/r18-simclr_b40-30e_dtd5', 'r18_48px.py --task dtd5.'),
        (
            'fine_tune/r50-bissl-byol_b256-400e_pets',
            'r50_96px.py --task pets after export BISSL_CHECKPOINT=PATH',
        ),
        (
            'fine_tune/r50-simclr-public_b256-400e_pets-224px',
            'r50_224px.py --task pets.',
        ),
        (
            'fine_tune/faster-rcnn-r10-c4-simclr_b8-8e_coco-128px',
            'r10_32px.py --task coco-c4-128px.',
        ),
        ('fine_tune/fcn8-r10-simclr_b8-8e_masks-128px', '--task masks-fcn8-128px.'),
        ('fine_tune/vit-t8-mae_b40-30e_dtd5', 'vit-t8_48px.py --task dtd5.'),
        (
            'bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-bccd-c4',
            '10x4-10t_cifar10-48px_published.py --task bccd-c4.',
        ),
        (
            'bissl/bissl-byol_r18_b64-10x4-10t_cifar10-dtd5',
            'byol_r18_b64-10x4-10t_cifar10-48px_published.py --task dtd5.',
        ),
        (
            'bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder',
            '_imagefolder-64px.py --task imagefolder-64px.',
        ),
        (
            'bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-pets_recycling',
            'in1k-96px.py --task pets --cfg-options .*RecyclingSolver',
        ),
        (
            'bissl/bissl-simclr_r10_b128-10x4-30t_masks-fcn8-128px',
            'imagefolder-32px.py --task masks-fcn8-128px.',
        ),
        (
            'demo/fine_tune_digit-scenes-segmentation',
            'fine_tune_digit-scenes.py --task digit-scenes-segmentation.',
        ),
    ],
)
def test_a_former_name_says_what_to_type(old, expected):
    with pytest.raises(FileNotFoundError, match=f'is now .*{expected}') as caught:
        read_config(str(ROOT / f'configs/{old}.py'))
    words = str(caught.value).partition(' is now ')[2].split()
    task = words[2].rstrip('.')
    assert task in find_slot(words[0]).tasks()
    assert shipped(ROOT / words[0], task).model


@pytest.mark.parametrize(
    'end, expected',
    [
        ('', '10x4-30t_cifar10-48px.py, with 30 alternations; .*_published.py has'),
        ('_elastic', '10x4-30t_cifar10-48px_elastic.py, with 30 alternations'),
    ],
)
def test_former_small_stages_say_what_to_type(end, expected):
    name = f'bissl-simclr_r18_b64-10x4-10t_cifar10-48px{end}.py'
    with pytest.raises(FileNotFoundError, match=f'is now .*{expected}') as caught:
        read_config(str(ROOT / 'configs/bissl' / name))
    for path in re.findall(r'now (\S+\.py)|; (\S+\.py)', str(caught.value)):
        assert Path(''.join(path)).is_file()


def test_other_missing_configs_are_missing():
    assert new_command('configs/fine_tune/r18_49px.py') is None
    # Of the form of a former name, with a task that never was.
    for name in (
        'fine_tune/r18-simclr_b40-30e_dtd6.py',
        'fine_tune/r18-simclr_b40-30e_pets.py',
        'bissl/bissl-simclr_r18_b64-10x4-10t_cifar10.py',
        'bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-48px_heads.py',
        'bissl/bissl-dino_r18_b64-10x4-10t_cifar10-48px.py',
    ):
        assert new_command(str(ROOT / 'configs' / name)) is None
    # Of the form of a former name, but of another project.
    assert new_command('elsewhere/r18-simclr_b40-30e_dtd5.py') is None


@pytest.mark.slow
def test_resuming_on_another_task_is_refused(tool, image_folders, tmp_path, capsys):
    """Two tasks with as many classes have the same model."""
    work_dir = ['--work-dir', tmp_path / 'run']
    tool('train', CONFIG, *work_dir, *options(train_cfg__num_alternations=2))
    (saved,) = (tmp_path / 'run').glob('iter_*.pth')
    data = {
        f'{part}_dataloader__dataset__data_root': image_folders / 'downstream'
        for part in ('train', 'val', 'test')
    }
    with pytest.raises(SystemExit):
        tool(
            'train',
            CONFIG,
            *work_dir,
            '--task',
            'cifar10',
            '--resume',
            *options(model__downstream__head__num_classes=3, **data),
        )
    error = capsys.readouterr().err
    assert f"'{saved}' is of the task 'imagefolder-64px', but this run is on" in error
    assert 'Type --task imagefolder-64px' in error


@pytest.mark.mmcv_ops
def test_tools_take_the_task(tool, capsys):
    tool('print_config', R18, '--task', 'camvid-fcn16')
    out = capsys.readouterr().out
    assert "task = 'camvid-fcn16'" in out and 'EncoderDecoder' in out
    args = Namespace(
        config=str(R18),
        task='bccd-c4',
        cfg_options=None,
        launcher='none',
        local_rank=0,
        work_dir=None,
    )
    assert load_config(args).work_dir == 'work_dirs/r18_48px_bccd-c4'
