"""The command lines.

Those whose subject is the process itself run in one of their own; the others
call the tool's main function, which spares the start of Python.
"""

import json
import runpy
import shlex
import signal
import subprocess
import sys
import time

import mmcv
import pytest
import torch
from conftest import ROOT
from dense_run import DETECTORS, SEGMENTORS, dense_config, make_scenes
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from small_models import simclr_cfg
from small_run import CONFIG
from task_configs import shipped
from tool_runs import assert_same_weights, environment, options, run, tool

from bissl_mm.models.weights.pretrained import check_load_from
from bissl_mm.models.weights.taken import init_with_checks
from bissl_mm.utils.errors import Refusal

__all__ = ['tool']
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def trained(tool, module_folder):
    """A bilevel run through the command line."""
    folder = module_folder / 'whole'
    tool('train', CONFIG, '--work-dir', folder, *options())
    return folder


def start_and_wait_for(line, command, image_folders):
    """The process, as soon as its log contains the line."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(image_folders),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    seen = []
    for seen_line in process.stdout:
        seen.append(seen_line)
        if line in seen_line:
            return process
    raise AssertionError(f'{line!r} is not in:\n' + ''.join(seen[-40:]))


@pytest.mark.whole
def test_terminated_and_then_killed_run_resumes_bit_identically(
    trained, image_folders, tmp_path
):
    command = [
        sys.executable,
        'tools/train.py',
        str(CONFIG),
        '--work-dir',
        str(tmp_path),
        *options(log_level='INFO', default_hooks__checkpoint__step_interval=1),
    ]
    process = start_and_wait_for('Iter(train) [1/3]', command, image_folders)
    process.send_signal(signal.SIGTERM)
    begin = time.time()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert time.time() - begin < 30
    assert 'continue with --resume' in output
    assert list(tmp_path.glob('iter_*.pth'))
    process = start_and_wait_for(
        'Iter(train) [2/3]', [*command, '--resume'], image_folders
    )
    process.kill()
    process.communicate()
    run([*command, '--resume', 'auto'], image_folders)
    assert_same_weights(trained / 'iter_3.pth', tmp_path / 'iter_3.pth')


@pytest.mark.parametrize('side', ['upper', 'lower'])
def test_test_evaluates_either_backbone(side, trained, tool, tmp_path, capfd):
    tool(
        'test',
        CONFIG,
        trained / 'iter_3.pth',
        '--eval-backbone',
        side,
        '--work-dir',
        tmp_path,
        # By default the second: two runs within one would share their log.
        *options(log_level='INFO', experiment_name=f'evaluate_{side}'),
    )
    output = capfd.readouterr()
    assert 'accuracy/top1' in output.out + output.err
    (log,) = tmp_path.glob('*/*.log')
    assert f"eval_backbone='{side}'" in log.read_text()


def test_test_has_a_choice_of_backbones_in_the_bilevel_stage_alone(
    tool, tmp_path, capsys
):
    config = ROOT / 'configs/fine_tune/r18_64px.py'
    arguments = ['any.pth', '--eval-backbone', 'lower', '--work-dir', tmp_path]
    with pytest.raises(SystemExit, match='1'):
        tool('test', config, *arguments)
    error = capsys.readouterr().err
    assert '--eval-backbone lower is for a config of configs/bissl' in error
    assert "'ImageClassifier'. Leave --eval-backbone out." in error


def test_test_refuses_a_checkpoint_of_another_model(tool, tmp_path, capsys):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=dict(encoder=torch.ones(2))), path)
    with pytest.raises(SystemExit, match='1'):
        tool('test', CONFIG, path, '--work-dir', tmp_path, *options())
    assert 'fits 0 of ' in capsys.readouterr().err


def test_the_page_says_what_every_number_of_an_alternation_means(trained):
    (path,) = trained.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    levels = ('lower/', 'upper/', 'regime/', 'transfer/')
    names = {name for line in lines for name in line if name.startswith(levels)}
    assert {'lower/pretext_loss', 'upper/residual', 'regime/moved'} <= names
    page = (ROOT / 'docs/choosing.md').read_text()
    assert not [name for name in names if f'`{name}`' not in page]


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            [CONFIG, *options(train_cfg__num_alternations=0)],
            'num_alternations must be a whole number of at least 1, but is 0',
        ),
        (
            [CONFIG, *options(model__pretrained='nowhere.pth')],
            "Checkpoint 'nowhere.pth' does not exist",
        ),
        (
            [CONFIG, *options(model__downstream__head__num_classes=7)],
            'head has num_classes=7, but the training data have 3 classes',
        ),
    ],
    ids=['count', 'checkpoint', 'classes'],
)
def test_bad_input_ends_with_one_message(arguments, message, tool, tmp_path, capsys):
    with pytest.raises(SystemExit, match='1'):
        tool('train', *arguments, '--work-dir', tmp_path)
    error = capsys.readouterr().err
    assert '[rank 0] ' in error and message in error
    assert 'Traceback' not in error
    assert not list(tmp_path.glob('*.pth'))


def test_a_run_that_starts_anew_in_the_folder_of_another_says_so(tool, tmp_path, capfd):
    def said(*arguments):
        # The stage is refused before it writes anything.
        options_ = options(model__pretrained='nowhere.pth')
        with pytest.raises(SystemExit, match='1'):
            tool('train', CONFIG, '--work-dir', folder, *options_, *arguments)
        return ''.join(capfd.readouterr())

    folder = tmp_path / 'run'
    assert 'earlier run' not in said()
    torch.save(dict(state_dict={}), folder / 'backbone.pth')
    out = said()
    assert f"'{folder}' has files of an earlier run (backbone.pth)" in out
    assert 'Type --resume ' in out and '--work-dir FOLDER' in out
    assert 'earlier run' not in said('--resume')


def test_bad_input_ends_the_process_with_status_one(image_folders):
    result = run(
        [sys.executable, 'tools/train.py', 'no_such_config.py'],
        image_folders,
        check=False,
    )
    assert result.returncode == 1
    assert "[rank 0] Config 'no_such_config.py' does not exist" in result.stderr
    assert 'Traceback' not in result.stderr


def test_browse_dataset_writes_both_levels(tool, tmp_path):
    tool('browse_dataset', CONFIG, '--output-dir', tmp_path, '--number', 3, *options())
    lower = sorted((tmp_path / 'lower').iterdir())
    upper = sorted((tmp_path / 'upper').iterdir())
    assert len(lower) == len(upper) == 3
    assert all('label' in p.name for p in upper)
    assert mmcv.imread(str(lower[0])).shape == (64, 132, 3)


@pytest.mark.mmcv_ops
@pytest.mark.parametrize(
    'name', [DETECTORS[0], pytest.param(SEGMENTORS[0], marks=pytest.mark.whole)]
)
def test_browse_dataset_draws_boxes_and_masks(name, tool, tmp_path):
    pytest.importorskip('sklearn')
    make_scenes(tmp_path / 'data')
    cfg = dense_config(name, tmp_path / 'data', tmp_path)
    cfg.dump(tmp_path / 'config.py')
    tool(
        'browse_dataset',
        tmp_path / 'config.py',
        '--level',
        'upper',
        '--number',
        2,
        '--output-dir',
        tmp_path,
    )
    for path in (tmp_path / 'upper').iterdir():
        image = mmcv.imread(str(path)).astype(int)
        # The scenes are grey, but the drawings are not.
        coloured = (image.max(2) - image.min(2) > 60).mean(0) > 0
        assert coloured.any() and not coloured.all()


def test_print_config_shows_the_merged_settings(tool, capsys):
    tool('print_config', CONFIG, *options(train_cfg__num_alternations=77))
    assert 'num_alternations=77' in capsys.readouterr().out


@pytest.mark.mmcv_ops
def test_convert_backbone_serves_load_from(tool, tmp_path, capsys, log_lines):
    from mmengine.runner import load_checkpoint

    config = ROOT / 'configs/bissl/bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'
    cfg = shipped(config, 'bccd-c4')
    init_default_scope('mmpretrain')
    source = MODELS.build(cfg.model.pretext)
    torch.save(
        dict(
            state_dict={
                k: torch.full_like(v, i)
                for i, (k, v) in enumerate(source.state_dict().items())
                if k.startswith('backbone.')
            },
            meta=dict(backbone=dict(style='caffe')),
        ),
        tmp_path / 'backbone.pth',
    )
    command = ['convert_backbone', config, tmp_path / 'backbone.pth']
    with pytest.raises(SystemExit, match='1'):
        tool(*command, tmp_path / 'backbone.pth', '--task', 'bccd-c4')
    assert 'is the file that is read' in capsys.readouterr().err
    tool(*command, tmp_path / 'init.pth', '--task', 'bccd-c4')
    assert '120 backbone tensors of ' in capsys.readouterr().out
    init_default_scope('mmdet')
    detector = MODELS.build(cfg.model.downstream)
    result = load_checkpoint(detector, str(tmp_path / 'init.pth'))
    assert len(result['state_dict']) == 120
    check_load_from(detector, str(tmp_path / 'init.pth'), 0.0)
    assert (
        'style caffe, but this model has pytorch. The weights do not' in log_lines[-1]
    )
    given = torch.load(tmp_path / 'backbone.pth')['state_dict']
    for name, value in given.items():
        place = name.replace('backbone.layer4', 'roi_head.shared_head.layer4')
        assert torch.equal(detector.state_dict()[place], value), name


@pytest.mark.mmcv_ops
@pytest.mark.whole
def test_a_bare_backbone_serves_those_that_read_it_by_themselves(
    tool, tmp_path, capsys
):
    vit = dict(
        type='mmseg.VisionTransformer',
        img_size=(16, 16),
        patch_size=8,
        embed_dims=8,
        num_layers=1,
        num_heads=2,
        out_indices=(0,),
    )
    head = dict(type='FCNHead', in_channels=8, channels=8, num_convs=1, num_classes=2)
    head['loss_decode'] = dict(type='CrossEntropyLoss')
    segmentor = dict(type='EncoderDecoder', _scope_='mmseg', decode_head=head)
    segmentor.update(test_cfg=dict(mode='whole'), train_cfg=dict())
    model = dict(type='BiSSLModel', downstream=dict(segmentor, backbone=vit))
    model['pretext'] = dict(simclr_cfg(), backbone=vit)
    stage = Config(
        dict(
            model=model,
            default_scope='bissl_mm',
            custom_imports=dict(imports=['bissl_mm.models']),
        )
    )
    stage.dump(tmp_path / 'stage.py')
    init_default_scope('mmseg')
    given = {
        f'backbone.{k}': torch.randn_like(v)
        for k, v in MODELS.build(vit).state_dict().items()
    }
    source, bare = tmp_path / 'backbone.pth', tmp_path / 'bare.pth'
    torch.save(dict(state_dict=given), source)
    tool('convert_backbone', tmp_path / 'stage.py', source, bare, '--bare')
    capsys.readouterr()
    init_default_scope('mmseg')

    def built(**init):
        return MODELS.build(
            dict(
                segmentor, backbone=dict(vit, init_cfg=dict(type='Pretrained', **init))
            )
        )

    model = built(checkpoint=str(source), prefix='backbone.')
    with pytest.raises(Refusal, match="mmseg's VisionTransformer .* OUT --bare"):
        init_with_checks(model, model.init_weights)
    model = built(checkpoint=str(bare))
    init_with_checks(model, model.init_weights)
    for name, value in given.items():
        assert torch.equal(model.state_dict()[name], value), name


def test_the_command_of_a_dry_run_can_be_typed(tool, tmp_path, monkeypatch, capsys):
    def show(request):
        return shlex.join(shlex.split(' '.join(request.command)))

    monkeypatch.setattr('bissl_mm.engine.memory.command.dry_run', show)
    config, folder = tmp_path / 'my config.py', tmp_path / 'my run'
    tool('train', config, '--dry-run', 'memory', '--work-dir', folder)
    assert f"train.py '{config}' --work-dir '{folder}'" in capsys.readouterr().out


@pytest.mark.parametrize('number', [0, -5])
def test_browse_dataset_refuses_a_number_of_none(number, tool, capsys):
    with pytest.raises(SystemExit, match='1'):
        tool('browse_dataset', CONFIG, '--number', number)
    assert '--number must be a whole number of at least 1' in capsys.readouterr().err


def test_prepare_dataset_refuses_an_empty_folder_of_data(tmp_path, monkeypatch):
    monkeypatch.setenv('BISSL_DATA_DIR', '')
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / 'tools/prepare_dataset.py'))['main']
    with pytest.raises(Refusal, match='BISSL_DATA_DIR is empty. Type export'):
        main(['dtd5', 'dtd.tar.gz'])
