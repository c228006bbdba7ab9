"""The command lines on two processes."""

import os
import shutil
import time

import pytest
import torch.distributed as dist
from conftest import ROOT
from small_run import CONFIG, OPTIONS
from tool_runs import assert_same_weights, options, run

from bissl_mm.engine import launch

pytestmark = pytest.mark.slow


def two_processes(arguments, image_folders, check=True):
    """Run train.py on two processes."""
    return run(
        ['bash', 'tools/dist_train.sh', CONFIG, '2', *arguments], image_folders, check
    )


@pytest.mark.dist
@pytest.mark.whole
def test_two_processes_train_resume_and_test(image_folders, tmp_path):
    # Half the batch on each of two processes.
    settings = options(
        train_dataloader__batch_size=3,
        train_cfg__pretext_dataloader__batch_size=2,
        default_hooks__checkpoint__step_interval=4,
        log_level='INFO',
    )
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    two_processes(['--work-dir', whole, *settings], image_folders)
    # As if both had been killed in the middle of the second alternation.
    shutil.copytree(whole, parts)
    checkpoints = sorted(parts.glob('iter_*.pth'), key=os.path.getmtime)
    for path in checkpoints[1:]:
        path.unlink()
    (parts / 'last_checkpoint').write_text(str(checkpoints[0]))
    two_processes(['--work-dir', parts, '--resume', *settings], image_folders)
    assert_same_weights(whole / 'iter_3.pth', parts / 'iter_3.pth')
    result = run(
        [
            'bash',
            'tools/dist_test.sh',
            CONFIG,
            whole / 'iter_3.pth',
            '2',
            '--work-dir',
            whole,
            *settings,
        ],
        image_folders,
    )
    assert 'accuracy/top1' in result.stdout


@pytest.mark.parametrize('status', [None, 3])
def test_no_thread_of_the_process_group_outlives_the_tool(status, tmp_path):
    # Such a thread sometimes aborts the process while Python shuts down.
    def main(argv):
        dist.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
        )
        if status is not None:
            raise SystemExit(status)

    try:
        launch.run_tool(main)
    except SystemExit as error:
        assert error.code == status
    assert not dist.is_initialized()


@pytest.mark.dist
@pytest.mark.whole
def test_signal_to_every_process_saves_a_checkpoint(image_folders, tmp_path):
    settings = options(
        train_dataloader__batch_size=3,
        train_cfg__pretext_dataloader__batch_size=2,
        log_level='INFO',
    )
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{CONFIG}'\n"
        "custom_imports = dict(imports=['bissl_mm.models', "
        "'bissl_mm.datasets', 'bissl_mm.engine', 'failing_rank'])\n"
        "custom_hooks = [dict(type='mmengine.SignalAllRanks')]\n"
    )
    result = run(
        [
            'bash',
            'tools/dist_train.sh',
            config,
            '2',
            '--work-dir',
            tmp_path / 'run',
            *settings,
        ],
        image_folders,
        check=False,
    )
    assert result.returncode != 0
    assert 'continue with --resume' in result.stdout
    assert (tmp_path / 'run' / 'iter_1_lower_1.pth').exists()


@pytest.mark.dist
@pytest.mark.whole
def test_one_failing_rank_is_named_and_ends_all(image_folders, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{CONFIG}'\n"
        "custom_imports = dict(imports=['bissl_mm.models', "
        "'bissl_mm.datasets', 'bissl_mm.engine', 'failing_rank'])\n"
        'train_cfg = dict(pretext_dataloader=dict(dataset=dict('
        "type='mmengine.FailsOnRankOne')))\n"
    )
    begin = time.time()
    result = run(
        [
            'bash',
            'tools/dist_train.sh',
            config,
            '2',
            '--work-dir',
            tmp_path / 'run',
            *options(),
        ],
        image_folders,
        check=False,
    )
    assert result.returncode != 0
    assert time.time() - begin < 60
    assert '[rank 1] RuntimeError: lower dataset: sample ' in result.stderr
    assert 'boom in the data' in result.stderr
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.mark.dist
@pytest.mark.whole
def test_ordinary_stage_runs_on_two_cpu_processes(image_folders, tmp_path):
    config = ROOT / 'configs/pretext/simclr_r18_b64-100e_imagefolder-64px.py'
    changes = {
        k[len('model.pretext.') :]: v
        for k, v in OPTIONS.items()
        if k.startswith('model.pretext.')
    }
    changes = {f'model.{k}': v for k, v in changes.items()}
    changes.update(
        {
            'train_dataloader.batch_size': 4,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_epochs': 1,
            'param_scheduler.0.end': 1,
            'param_scheduler.1.begin': 0,
            'param_scheduler.1.end': 1,
        }
    )
    run(
        [
            'bash',
            'tools/dist_train.sh',
            config,
            '2',
            '--work-dir',
            tmp_path,
            '--cfg-options',
            *(f'{k}={v}' for k, v in changes.items()),
        ],
        image_folders,
    )
    assert (tmp_path / 'epoch_1.pth').exists()
