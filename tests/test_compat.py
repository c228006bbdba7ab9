"""What differs between versions of torch, and versions that are too old."""

import collections
import pickle
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch.nn.functional import scaled_dot_product_attention

from bissl_mm.utils.checkpoint import UnsafeCheckpointError, load_checkpoint
from bissl_mm.utils.compat import is_autocast_enabled, plain_attention
from bissl_mm.utils.versions import check_versions, release


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args, state)

    def __reduce__(self):
        return self.parts


HOSTILE = {
    'attribute of another class': lambda: Calls(
        getattr, collections.OrderedDict, '__init__'),
    'private attribute': lambda: Calls(
        getattr, HistoryBuffer, '__init__'),
    'state of a class': lambda: Calls(
        getattr, HistoryBuffer, 'mean', state=(None, {'__wrapped__': 1})),
    'module': lambda: Calls(__import__, 'antigravity'),
    'codec': lambda: Calls(pickle.loads, pickle.dumps(1)),
}


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('kind', HOSTILE)
def test_pickles_that_reach_further_are_refused(kind, legacy, tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=dict(w=torch.ones(2)), meta=HOSTILE[kind]()),
               path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpointError, match='could run code'):
        load_checkpoint(str(path))


def test_scripted_modules_are_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with pytest.raises(UnsafeCheckpointError, match='script.pt'):
        load_checkpoint(str(path))


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_what_mmengine_writes_comes_back(legacy, tmp_path):
    history = HistoryBuffer([1., 2.], [1, 1])
    content = dict(
        state_dict=collections.OrderedDict(
            (str(dtype), torch.ones(2).to(dtype))
            for dtype in (torch.float64, torch.bfloat16, torch.bool,
                          torch.uint8)),
        message_hub=dict(log_scalars=dict(loss=history),
                         runtime_info=dict(score=np.float32(.5),
                                           counts=np.arange(3))),
        meta=dict(dtype=torch.bfloat16, device=torch.device('cpu'),
                  seen={1, 2}, raw=b'\x00\xff', size=torch.Size([1, 2])))
    path = tmp_path / 'iter_1.pth'
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    loaded = load_checkpoint(str(path))
    for name, tensor in content['state_dict'].items():
        assert loaded['state_dict'][name].dtype == tensor.dtype
        assert torch.equal(loaded['state_dict'][name], tensor)
    assert loaded['meta'] == content['meta']
    hub = loaded['message_hub']
    assert hub['runtime_info']['score'] == np.float32(.5)
    assert hub['runtime_info']['counts'].tolist() == [0, 1, 2]
    assert hub['log_scalars']['loss'].statistics('mean') == 1.5


def test_autocast_is_seen():
    assert not is_autocast_enabled('cpu')
    with torch.autocast('cpu', torch.bfloat16):
        assert is_autocast_enabled('cpu')
        assert not is_autocast_enabled('cuda')


def test_plain_attention_has_a_second_derivative():
    query = torch.randn(1, 1, 4, 8, requires_grad=True)
    with plain_attention():
        out = scaled_dot_product_attention(query, query, query).square().sum()
        grad, = torch.autograd.grad(out, query, create_graph=True)
        second, = torch.autograd.grad(grad.sum(), query)
    assert second.isfinite().all() and second.any()


@pytest.mark.parametrize('version, numbers', [
    ('2.1.2+cu121', (2, 1, 2)), ('2.6.0a0+git12', (2, 6, 0)), ('3', (3, ))])
def test_release_is_the_leading_numbers(version, numbers):
    assert release(version) == numbers


@pytest.mark.parametrize('installed, message', [
    ({'torch': '2.0.1'}, 'needs torch 2.1 or newer, but 2.0.1'),
    ({'torch': '2.11.0', 'mmengine': '0.9.1'}, 'mmengine 0.10'),
    ({'mmcv-lite': '2.0.1'}, 'mmcv 2.1'),
    ({'onedl-mmcv': '2.0.1'}, 'mmcv 2.1'),
    ({'mmpretrain': '1.1.1'}, 'mmpretrain 1.2'),
    ({'torch': '2.1.0a0', 'mmengine': '0.10.0', 'onedl-mmcv': '2.3.6',
      'mmcv': '2.0.0', 'mmpretrain': '1.2.0'}, None),
    ({}, None)])
def test_old_libraries_are_named(installed, message, monkeypatch):

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, 'version', version)
    if message is None:
        return check_versions()
    with pytest.raises(ImportError, match=message):
        check_versions()


def test_the_check_imports_no_library():
    code = ('import sys, bissl_mm; print([m for m in ("torch", "mmengine", '
            '"mmcv", "numpy") if m in sys.modules])')
    result = subprocess.run([sys.executable, '-c', code], check=True,
                            capture_output=True, text=True)
    assert result.stdout.strip() == '[]'
