"""Stock loops resume from the newest complete checkpoint."""

import os

import pytest
import torch
from conftest import ROOT
from mmengine.logging import MMLogger
from task_configs import shipped
from tool_runs import tool

from bissl_mm.engine.hooks.newest_checkpoint import newest_complete
from bissl_mm.engine.launch import build_runner
from bissl_mm.experiments.runs.small import options

__all__ = ['tool']
PATTERNS = ('iter_*.pth', 'epoch_*.pth')


def write(folder, *names):
    for i, name in enumerate(names):
        torch.save(dict(number=i), folder / name)
        os.utime(folder / name, (1000 + i, 1000 + i))


@pytest.mark.parametrize('pointer', ['/mnt/elsewhere/epoch_20.pth', '', None])
def test_a_pointer_that_is_lost_leads_to_the_newest(pointer, tmp_path):
    write(tmp_path, 'epoch_10.pth', 'epoch_20.pth')
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer)
    given = (str(tmp_path), str(tmp_path), PATTERNS, MMLogger.get_current_instance())
    assert newest_complete(*given) == str(tmp_path / 'epoch_20.pth')
    # Torn.
    (tmp_path / 'epoch_20.pth').write_bytes(b'PK')
    assert newest_complete(*given) == str(tmp_path / 'epoch_10.pth')
    (tmp_path / 'epoch_10.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='None of the checkpoints'):
        newest_complete(*given)


def test_nothing_to_resume_from_is_a_new_run(tmp_path):
    given = (str(tmp_path), str(tmp_path), PATTERNS, MMLogger.get_current_instance())
    assert newest_complete(*given) is None


def test_a_moved_pretraining_goes_on(image_folders, tmp_path, monkeypatch):
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(image_folders / 'pretext'))

    def run(epochs, resume=False):
        cfg = shipped(ROOT / 'configs/pretext/simclr_r10_b256-60e_imagefolder-32px.py')
        cfg.merge_from_dict({**options(cfg, shallow=True), 'param_scheduler': []})
        cfg.train_cfg.max_epochs = epochs
        cfg.update(work_dir=str(tmp_path / 'run'), resume=resume, launcher='none')
        cfg.experiment_name = f'moved{epochs}'
        runner = build_runner(cfg)
        runner.train()
        return runner

    run(1)
    (tmp_path / 'run/last_checkpoint').write_text('/mnt/elsewhere/epoch_1.pth')
    runner = run(2, resume=True)
    # Two batches an epoch; it did not start anew.
    assert runner.iter == 4 and (tmp_path / 'run/epoch_2.pth').is_file()
    saved = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=False)
    assert saved['meta']['epoch'] == 2
    assert 'elsewhere' not in (tmp_path / 'run/last_checkpoint').read_text()


def fine_tuning(tool, folder, *arguments, epochs=1, load_from='nowhere.pth'):
    tool(
        'train',
        ROOT / 'configs/fine_tune/r10_32px.py',
        *('--work-dir', folder, *arguments, '--cfg-options'),
        *(f'train_cfg.max_epochs={epochs}', f'load_from={load_from}'),
        'model.backbone.init_cfg=None',
        *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val')),
    )


def test_a_first_start_with_resume_begins_with_load_from(
    tool, tmp_path, plain_config_text, capsys
):
    with pytest.raises(SystemExit, match='1'):
        fine_tuning(tool, tmp_path, '--resume')
    said = capsys.readouterr()
    assert "begins with load_from='nowhere.pth'" in said.out + said.err
    assert "Checkpoint 'nowhere.pth' does not exist" in said.err


@pytest.mark.whole
def test_a_later_start_with_resume_does_not_read_load_from(tool, tmp_path):
    fine_tuning(tool, tmp_path, load_from=None)
    fine_tuning(tool, tmp_path, '--resume', epochs=2)
    assert (tmp_path / 'epoch_2.pth').is_file()


@pytest.mark.parametrize(
    'content, lacks',
    [
        (dict(state_dict={}), 'meta.epoch, meta.iter, message_hub'),
        (dict(state_dict={}, meta=dict(iter=3), message_hub={}), 'meta.epoch'),
    ],
)
def test_weights_alone_are_nothing_to_resume_from(
    content, lacks, tool, tmp_path, plain_config_text, capsys
):
    path = tmp_path / 'backbone.pth'
    torch.save(content, path)
    with pytest.raises(SystemExit, match='1'):
        fine_tuning(tool, tmp_path, '--resume', path)
    error = capsys.readouterr().err
    assert f"checkpoint '{path}' lacks {lacks}, so" in error
    assert 'KeyError' not in error
