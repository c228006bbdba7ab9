"""A run on the CPU of a machine with GPUs says why."""

import pytest
import torch
from mmengine.config import Config

from bissl_mm.utils import operators
from bissl_mm.utils.operators import check_compiled_operators
from bissl_mm.utils.unused_gpus import unused_gpus_note

TOO_OLD = (
    'The NVIDIA driver on your system is too old (found version 11040). Please '
    'update your GPU driver by downloading and installing a new version.'
)


@pytest.fixture()
def gpus(tmp_path, monkeypatch):
    """The driver's folder of a machine with two GPUs that torch does not see."""
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    for place in ('0000:17:00.0', '0000:65:00.0'):
        (tmp_path / place).mkdir()
    return tmp_path


def fails_with(text):
    def init():
        raise RuntimeError(text)

    return init


@pytest.mark.parametrize(
    'said, wanted',
    [
        (TOO_OLD, ['too old (found version 11040). Update the driver', 'CUDA 13.0']),
        ('No CUDA GPUs are available', ['No CUDA GPUs are available. Ask the batch']),
    ],
)
def test_what_torch_says_is_shown(said, wanted, gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'init', fails_with(said))
    note = unused_gpus_note(str(gpus))
    assert note.startswith('This machine has 2 NVIDIA GPU(s), but the run is on the ')
    for part in wanted:
        assert part in note


def test_a_torch_without_cuda_is_named(gpus, monkeypatch):
    monkeypatch.setattr(torch.version, 'cuda', None)
    note = unused_gpus_note(str(gpus))
    assert f'torch {torch.__version__} was built without CUDA. Install' in note


@pytest.mark.parametrize('hidden', ['', '-1', ' '])
def test_no_word_where_the_cpu_is_meant(hidden, gpus, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', hidden)
    assert unused_gpus_note(str(gpus)) is None
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0,1')
    assert unused_gpus_note(str(gpus))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert unused_gpus_note(str(gpus)) is None


def test_nvidia_smi_is_asked_where_there_is_no_such_folder(gpus, monkeypatch):
    missing = str(gpus / 'missing')
    monkeypatch.setenv('PATH', f'{gpus}:/usr/bin:/bin')
    program = gpus / 'nvidia-smi'
    for output, number in (
        ('GPU 0: NVIDIA A100 (UUID: GPU-1)\\nGPU 1: NVIDIA A100 (UUID: GPU-2)', 2),
        ('Failed to initialize NVML: Driver/library version mismatch', 0),
    ):
        program.write_text(f'#!/bin/sh\nprintf "{output}"\n')
        program.chmod(0o755)
        note = unused_gpus_note(missing)
        assert bool(note) is bool(number)
        assert not note or note.startswith(f'This machine has {number} NVIDIA')


@pytest.mark.parametrize('missing', ['mmcv._ext', None])
def test_mmseg_is_refused_where_its_import_needs_missing_operators(
    missing, monkeypatch
):
    def imported(name):
        # Upstream's mmseg, or the continuation.
        if missing:
            raise ModuleNotFoundError(f'No module named {missing!r}', name=missing)

    monkeypatch.setattr(operators, 'has_compiled_operators', lambda: False)
    monkeypatch.setattr(operators, 'import_module', imported)
    cfg = Config(dict(model=dict(type='mmseg.EncoderDecoder')))
    if missing:
        with pytest.raises(RuntimeError, match='needs mmseg.*not mmcv-lite'):
            check_compiled_operators(cfg)
    else:
        check_compiled_operators(cfg)
    check_compiled_operators(Config(dict(model=dict(type='mmpretrain.SimCLR'))))


@pytest.mark.mmcv_ops
def test_operators_of_the_cpu_alone_are_refused_on_a_gpu(monkeypatch):
    from mmcv import ops

    cfg = Config(dict(model=dict(type='mmdet.FasterRCNN')))
    for available, built, refused in (
        (False, 'not available', False),
        (True, 'not available', True),
        (True, '13.0', False),
    ):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda has=available: has)
        monkeypatch.setattr(ops, 'get_compiling_cuda_version', lambda v=built: v)
        if refused:
            with pytest.raises(
                RuntimeError, match='The config needs mmdet.*FORCE_CUDA=1'
            ):
                check_compiled_operators(cfg)
        else:
            check_compiled_operators(cfg)
    # A config without mmdet does not need them.
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(ops, 'get_compiling_cuda_version', lambda: 'not available')
    check_compiled_operators(Config(dict(model=dict(type='mmpretrain.SimCLR'))))
