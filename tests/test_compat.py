"""Differences between versions of torch, and versions that are too old."""

import argparse
import collections
import copyreg
import os
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
from bissl_mm.utils.compat import is_autocast_enabled, plain_attention, tf32
from bissl_mm.utils.versions import check_versions, release


class Calls:
    """An object that is pickled as a call of any function."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args, state)

    def __reduce__(self):
        return self.parts


def state_of(dtype, shape=(1,), raw=b'A' * 8):
    """An array as numpy pickles it, of any type and bytes."""
    return Calls(
        np.zeros(1).__reduce__()[0],
        np.ndarray,
        (0,),
        b'b',
        state=(1, shape, dtype, False, raw),
    )


# Objects that references point to, with a state that says there are none.
NO_REFERENCES = (3, '|', None, None, None, 8, 8, 0)
# numpy reads the memory to which such an attribute points.
ANY_ADDRESS = dict(
    __array_interface__=dict(data=b'A' * 8, typestr='<f8', shape=(1,), version=3)
)


class Attributes:
    """An object that is pickled as a namespace or a history with any attributes."""

    def __init__(self, kind, **state):
        self.kind, self.state = kind, state

    @property
    def __class__(self):
        # Compared by pickle.
        return self.kind

    def __reduce_ex__(self, protocol):
        return copyreg.__newobj__, (self.kind,), self.state


HOSTILE = {
    'array over bytes': lambda: Calls(np.ndarray, (1,), Calls(np.dtype, 'O'), b'A' * 8),
    'array of numbers over bytes': lambda: Calls(
        np.ndarray, (1,), Calls(np.dtype, 'f8'), b'A' * 8
    ),
    'references': lambda: state_of(np.dtype('O')),
    'hidden references': lambda: state_of(
        Calls(np.dtype, 'O', False, True, state=NO_REFERENCES)
    ),
    'references as numbers': lambda: state_of(
        Calls(np.dtype, 'f8', False, True, state=NO_REFERENCES)
    ),
    'fields': lambda: state_of(Calls(np.dtype, [('a', 'O')])),
    'too few bytes': lambda: state_of(np.dtype('f8'), shape=(2,)),
    'no bytes': lambda: state_of(np.dtype('f8'), raw=[None]),
    'negative shape': lambda: state_of(np.dtype('f8'), (-1, -1)),
    'state through torch': lambda: Calls(
        torch._tensor._rebuild_from_type_v2,
        np.dtype,
        type(np.dtype('f8')),
        ('f8', False, True),
        NO_REFERENCES,
    ),
    'scalar reference': lambda: Calls(
        np.float64(1).__reduce__()[0], np.dtype('O'), b'A' * 8
    ),
    'short scalar': lambda: Calls(np.float64(1).__reduce__()[0], np.dtype('f8'), b'A'),
    'address in a namespace': lambda: Attributes(argparse.Namespace, **ANY_ADDRESS),
    'address in a parameter': lambda: Calls(
        torch._utils._rebuild_parameter_with_state,
        torch.ones(1),
        True,
        collections.OrderedDict(),
        ANY_ADDRESS,
    ),
    'history called': lambda: Calls(HistoryBuffer, [1.0], [1]),
    'history of other objects': lambda: Attributes(
        HistoryBuffer,
        _log_history=[argparse.Namespace()],
        _count_history=np.ones(1),
        max_length=1,
    ),
    'history with other statistics': lambda: Attributes(
        HistoryBuffer, statistics_methods=dict(mean=slice)
    ),
    'attribute of another class': lambda: Calls(
        getattr, collections.OrderedDict, '__init__'
    ),
    'private attribute': lambda: Calls(getattr, HistoryBuffer, '__init__'),
    'state of a class': lambda: Calls(
        getattr, HistoryBuffer, 'mean', state=(None, {'__wrapped__': 1})
    ),
    'module': lambda: Calls(__import__, 'antigravity'),
    'codec': lambda: Calls(pickle.loads, pickle.dumps(1)),
}


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('kind', HOSTILE)
def test_pickles_that_reach_further_are_refused(kind, legacy, tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(
        dict(state_dict=dict(w=torch.ones(2)), meta=HOSTILE[kind]()),
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(UnsafeCheckpointError, match='could run code'):
        load_checkpoint(str(path))


@pytest.mark.parametrize(
    'kind, reason',
    [
        ('array over bytes', "dtype: 'O'"),
        ('hidden references', "dtype: 'O'"),
        ('array of numbers over bytes', 'Unsupported call'),
        ('references as numbers', 'Unsupported state of a dtype'),
    ],
)
def test_hostile_arrays_are_refused_before_they_exist(kind, reason, tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(HOSTILE[kind](), path)
    with pytest.raises(UnsafeCheckpointError) as caught:
        load_checkpoint(str(path))
    assert reason in str(caught.value.__cause__)


def test_an_array_takes_one_state(tmp_path):
    state = (1, (1,), np.dtype('f8'), False, b'A' * 8)
    once = pickle.dumps(state_of(np.dtype('f8')), protocol=2)[:-1]
    again = pickle.dumps(state, protocol=2)[2:-1]
    path = tmp_path / 'evil.pth'
    path.write_bytes(once + again + pickle.BUILD + pickle.STOP)
    with pytest.raises(UnsafeCheckpointError) as caught:
        load_checkpoint(str(path))
    assert 'state of an array' in str(caught.value.__cause__)


def test_scripted_modules_are_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with pytest.raises(UnsafeCheckpointError, match='script.pt'):
        load_checkpoint(str(path))


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_what_mmengine_writes_comes_back(legacy, tmp_path):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = dict(
        state_dict=collections.OrderedDict(
            (str(dtype), torch.ones(2).to(dtype))
            for dtype in (torch.float64, torch.bfloat16, torch.bool, torch.uint8)
        ),
        message_hub=dict(
            log_scalars=dict(loss=history),
            runtime_info=dict(score=np.float32(0.5), counts=np.arange(3)),
        ),
        meta=dict(
            dtype=torch.bfloat16,
            device=torch.device('cpu'),
            seen={1, 2},
            raw=b'\x00\xff',
            size=torch.Size([1, 2]),
        ),
    )
    path = tmp_path / 'iter_1.pth'
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    loaded = load_checkpoint(str(path))
    for name, tensor in content['state_dict'].items():
        assert loaded['state_dict'][name].dtype == tensor.dtype
        assert torch.equal(loaded['state_dict'][name], tensor)
    assert loaded['meta'] == content['meta']
    hub = loaded['message_hub']
    assert hub['runtime_info']['score'] == np.float32(0.5)
    assert hub['runtime_info']['counts'].tolist() == [0, 1, 2]
    assert hub['log_scalars']['loss'].statistics('mean') == 1.5


NUMBERS = [
    np.array([True, False]),
    np.arange(3, dtype='>i4'),
    np.ones((2, 3), np.float16, order='F'),
    np.array(1j),
    np.zeros((0, 2)),
    np.random.get_state()[1],
    np.float64(0.5),
    np.bool_(True),
    np.int32(-1),
    np.uint8(255),
    np.complex64(1j),
]


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_numbers_of_numpy_1_and_2_come_back(core, tmp_path):
    path = tmp_path / 'iter_1.pth'
    torch.save(
        dict(numbers=NUMBERS, dtype=np.dtype('>f4')),
        path,
        _use_new_zipfile_serialization=False,
    )
    data = path.read_bytes().replace(b'numpy._core', b'numpy.core')
    path.write_bytes(data.replace(b'numpy.core', core))
    assert core in path.read_bytes()
    loaded = load_checkpoint(str(path))
    assert loaded['dtype'] == np.dtype('>f4')
    for number, saved in zip(loaded['numbers'], NUMBERS):
        assert type(number) is type(saved)
        # numpy brings an array into the processor's byte order.
        assert number.dtype == saved.dtype.newbyteorder('=')
        assert number.shape == saved.shape
        assert np.array_equal(number, saved)
    # numpy's own types have not been touched.
    assert np.dtype('f4').isnative


def test_history_goes_on(tmp_path):
    torch.save(HistoryBuffer([1.0, 3.0], [1, 1]), tmp_path / 'history.pth')
    history = load_checkpoint(str(tmp_path / 'history.pth'))
    history.update(5.0, 1)
    assert history.statistics('mean') == 3
    assert history.statistics('current') == 5
    # A history that was loaded and saved can be loaded again.
    torch.save(history, tmp_path / 'again.pth')
    again = load_checkpoint(str(tmp_path / 'again.pth'))
    assert again.statistics('max') == 5


def test_the_variable_that_forces_torchs_reader_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    torch.save(dict(w=np.float32(1)), tmp_path / 'w.pth')
    assert load_checkpoint(str(tmp_path / 'w.pth'))['w'] == 1
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '1'


def test_autocast_is_seen():
    assert not is_autocast_enabled('cpu')
    with torch.autocast('cpu', torch.bfloat16):
        assert is_autocast_enabled('cpu')
        assert not is_autocast_enabled('cuda')


def test_plain_attention_has_a_second_derivative():
    query = torch.randn(1, 1, 4, 8, requires_grad=True)
    with plain_attention():
        out = scaled_dot_product_attention(query, query, query).square().sum()
        (grad,) = torch.autograd.grad(out, query, create_graph=True)
        (second,) = torch.autograd.grad(grad.sum(), query)
    assert second.isfinite().all() and second.any()


@pytest.mark.parametrize(
    'version, numbers',
    [('2.1.2+cu121', (2, 1, 2)), ('2.6.0a0+git12', (2, 6, 0)), ('3', (3,))],
)
def test_release_is_the_leading_numbers(version, numbers):
    assert release(version) == numbers


@pytest.mark.parametrize(
    'installed, message',
    [
        ({'torch': '2.0.1'}, 'needs torch 2.1 or newer, but 2.0.1'),
        ({'torch': '2.11.0', 'mmengine': '0.9.1'}, 'mmengine 0.10'),
        ({'mmcv-lite': '2.0.1'}, 'mmcv 2.1'),
        ({'onedl-mmcv': '2.0.1'}, 'mmcv 2.1'),
        ({'mmpretrain': '1.1.1'}, 'mmpretrain 1.2'),
        (
            {
                'torch': '2.1.0a0',
                'mmengine': '0.10.0',
                'onedl-mmcv': '2.3.6',
                'mmcv': '2.0.0',
                'mmpretrain': '1.2.0',
            },
            None,
        ),
        ({}, None),
    ],
)
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
    code = (
        'import sys, bissl_mm; print([m for m in ("torch", "mmengine", '
        '"mmcv", "numpy") if m in sys.modules])'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == '[]'


def older():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    'convolutions, products', [(True, 'highest'), (False, 'high'), (True, 'medium')]
)
def test_tf32_inside_and_as_before_outside(convolutions, products):
    before = older()
    try:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        for is_allowed, inside in ((False, 'highest'), (True, 'high')):
            with tf32(is_allowed):
                assert older() == (is_allowed, inside)
            assert older() == (convolutions, products)
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, 'conv'), reason='torch before 2.9'
)
def test_tf32_where_the_newer_settings_were_used():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    places = (cudnn.conv, cudnn.rnn, matmul)
    before = [place.fp32_precision for place in places]
    try:
        cudnn.conv.fp32_precision, matmul.fp32_precision = 'ieee', 'tf32'
        with pytest.raises(RuntimeError):
            older()
        for is_allowed, inside in ((False, 'ieee'), (True, 'tf32')):
            with tf32(is_allowed):
                assert {place.fp32_precision for place in places} == {inside}
            assert [p.fp32_precision for p in places] == ['ieee', before[1], 'tf32']
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
    older()
