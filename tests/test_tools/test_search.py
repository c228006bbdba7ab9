"""Fine-tuning by the tools does what the config's search says."""

import json
import runpy
import time

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tool_runs import tool

from bissl_mm.analysis.runs.fine_tune import Setting, fine_tune
from bissl_mm.analysis.runs.finished_runs import FinishedRuns
from bissl_mm.utils.errors import Refusal

__all__ = ['tool']
pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs/fine_tune/r18_64px.py'
BILEVEL = ROOT / 'configs/bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py'
SMALL = {
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'model.head.in_channels': 32,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 1,
    'param_scheduler.end': 1,
}


@pytest.fixture
def backbone(tool, tmp_path):
    """A checkpoint that fits the small network."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(SMALL)
    cfg.model.backbone.pop('init_cfg')
    init_default_scope('mmpretrain')
    path = tmp_path / 'backbone.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


def options(**changes) -> list:
    return [
        '--cfg-options',
        *(f'{k}={v}' for k, v in SMALL.items()),
        *(f'{k.replace("__", ".")}={v}' for k, v in changes.items()),
    ]


def test_run_on_place_holders_says_so_before_and_after(tool, backbone, tmp_path):
    def warnings(name, **changes):
        # mmengine names loggers by the second: two runs of one second would
        # write to one file.
        time.sleep(1.1)
        tool(
            'train',
            CONFIG,
            '--work-dir',
            tmp_path / name,
            *options(model__backbone__init_cfg__checkpoint=backbone, **changes),
        )
        (log,) = (tmp_path / name).glob('*/*.log')
        lines = log.read_text().splitlines()
        return [i for i, line in enumerate(lines) if 'place-holders' in line], len(
            lines
        )

    (first, last), number = warnings('place_holders')
    assert first < last == number - 1
    assert warnings('found', search__found='mine')[0] == []


@pytest.fixture
def release(backbone, tmp_path):
    """The same network in torchvision's names."""
    state = torch.load(backbone)['state_dict']
    named = {name.removeprefix('backbone.'): value for name, value in state.items()}
    path = tmp_path / 'resnet18.pth'
    torch.save(named, path)
    return path


COMMAND = 'Type python tools/convert_checkpoint.py {} OUT --config CONFIG'


def test_fine_tuning_from_a_release_names_the_converter(
    tool, release, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv('BISSL_CHECKPOINT', str(release))
    with pytest.raises(SystemExit, match='1'):
        tool('train', CONFIG, '--work-dir', tmp_path / 'work', *options())
    said = capfd.readouterr().err
    assert COMMAND.format(release) in said and 'Traceback' not in said
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(SMALL)
    init_default_scope('mmpretrain')
    with pytest.raises(Refusal, match=COMMAND.format(release)):
        fine_tune(cfg, str(release), Setting(0.1, 0.0), 0, str(tmp_path / 'run'))


def test_every_arm_is_checked_before_the_first_run(
    tool, backbone, release, tmp_path, capfd
):
    arms = ('--arm', f'BiSSL={backbone}', '--arm', f'FT={release}')
    with pytest.raises(SystemExit, match='1'):
        tool('compare_arms', CONFIG, '--work-dir', tmp_path / 'work', *arms, *options())
    said = capfd.readouterr().err
    assert f'--arm FT={release}: backbone: init_cfg' in said
    assert COMMAND.format(release) in said and 'Traceback' not in said
    assert not (tmp_path / 'work/BiSSL').exists()


def test_comparison_takes_the_search_of_the_config(tool, backbone, tmp_path, capfd):
    tool(
        'compare_arms',
        CONFIG,
        '--work-dir',
        tmp_path / 'work',
        '--arm',
        f'FT={backbone}',
        '--seeds',
        1,
        '--workers',
        1,
        '--json',
        tmp_path / 'found.json',
        *options(search__settings=2, search__seeds=3, search__lr='(0.02,0.03)'),
    )
    (arm,) = json.loads((tmp_path / 'found.json').read_text())['arms']
    assert len(arm['search']) == 2 and arm['seeds'] == [1]
    assert all(0.02 <= tried['lr'] <= 0.03 for tried in arm['search'])
    # One look for all runs, not one per worker.
    assert capfd.readouterr().out.count('Data looked over') == 1


def test_an_interrupted_comparison_says_how_to_go_on(
    tool, backbone, tmp_path, monkeypatch, capfd
):
    add, written = FinishedRuns.add, []

    def add_two(*args, **kwargs):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(add(*args, **kwargs))

    def compare():
        tool(
            'compare_arms',
            CONFIG,
            '--work-dir',
            tmp_path / 'work',
            '--arm',
            f'FT={backbone}',
            '--settings',
            1,
            '--seeds',
            2,
            '--workers',
            1,
            *options(),
        )

    with monkeypatch.context() as patch:
        patch.setattr(FinishedRuns, 'add', add_two)
        with pytest.raises(SystemExit) as status:
            compare()
    assert status.value.code == 130
    runs = tmp_path / 'work' / 'runs.jsonl'
    before = runs.read_text()
    assert before.count('\n') == 2
    said = capfd.readouterr().err
    assert 'the same command continues' in said and 'Traceback' not in said
    compare()
    assert runs.read_text().startswith(before)
    assert runs.read_text().count('\n') == 3


@pytest.mark.parametrize(
    'arms, message',
    [
        (['A=f', 'B=f', 'A=f'], "the name 'A' is used twice"),
        (['A=f', 'A=g'], "the name 'A' is used twice"),
        (['=f'], "the name '' cannot be"),
        (['../A=f'], "the name '../A' cannot"),
        (['f'], "checkpoint '' does not exist"),
    ],
)
def test_arms_are_told_apart_before_anything_runs(arms, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in 'fg':
        (tmp_path / name).write_text('')
    read_arms = runpy.run_path(str(ROOT / 'tools/compare_arms.py'))['read_arms']
    with pytest.raises(Refusal, match=message):
        read_arms(arms)
    assert read_arms(['A=f', 'B=f']) == dict(A='f', B='f')


@pytest.mark.parametrize(
    'config, arguments, message',
    [
        (CONFIG, ['--seeds', 0], '--seeds must be a whole number of at least 1'),
        (CONFIG, ['--lr', 1, 0.1], '--lr must be two numbers above 0, the lower'),
        (CONFIG, ['--json', '/dev/null/a.json'], "'/dev/null' is a file"),
        (BILEVEL, [], "'BiSSLModel', but a comparison fine-tunes one. Type a config"),
    ],
)
def test_a_comparison_that_cannot_end_does_not_begin(
    config, arguments, message, tool, backbone, tmp_path, capsys
):
    with pytest.raises(SystemExit, match='1'):
        tool('compare_arms', config, '--arm', f'A={backbone}', *arguments)
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
