"""Files are old or new, never half, whatever interrupts their writing."""

import ast
import os
import resource
import signal
from contextlib import contextmanager

import pytest
import torch
from conftest import ROOT

from bissl_mm.utils.checkpoint import load_checkpoint, save_atomically
from bissl_mm.utils.errors import OSRefusal
from bissl_mm.utils.files import atomic_file, atomic_path
from bissl_mm.utils.replaced import replaced

#: Where the package writes past its atomic files, and why it may.
OTHERS = {
    # A temporary file of mmengine's.
    'bissl_mm/config/environment.py': 1,
    # A temporary folder, gone after loading.
    'bissl_mm/utils/checkpoint_sources.py': 1,
    # Results are added a line at a time; a torn last line is left out.
    'bissl_mm/analysis/runs/finished_runs.py': 1,
    # A scratch folder, moved as a whole.
    'bissl_mm/prepare/bccd.py': 1,
    'bissl_mm/prepare/sources.py': 1,
    'bissl_mm/prepare/task.py': 2,
    'bissl_mm/prepare/plain.py': 2,
    'bissl_mm/prepare/labeled/voc07.py': 1,
    'bissl_mm/prepare/dense/voc.py': 1,
}


@contextmanager
def small_disk(num_bytes):
    """Files of this process cannot grow past a size."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_in_place_after_the_block_alone(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with atomic_file(path) as file:
        file.write('new ü')
        file.flush()
        assert path.read_text() == 'old'
    assert path.read_text(encoding='utf-8') == 'new ü'
    assert os.listdir(tmp_path) == ['a.txt']


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError, ValueError])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')
    with pytest.raises(error), atomic_file(path, 'wb') as file:
        file.write(b'half')
        raise error
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.bin']


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_bytes() == b'old'


def test_a_checkpoint_for_which_there_is_no_room_is_refused(tmp_path):
    path = str(tmp_path / 'a.pth')
    save_atomically(dict(x=torch.ones(2)), path)
    with small_disk(2**16), pytest.raises(OSRefusal, match='Check the free space'):
        save_atomically(dict(x=torch.ones(2**16)), path)
    assert load_checkpoint(path)['x'].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ['a.pth']


class OutOfMemory:
    """Behaves like a tensor of a device without memory for a copy."""

    def __reduce__(self):
        raise RuntimeError('out of memory')


def test_no_memory_is_not_told_as_no_space(tmp_path):
    with pytest.raises(RuntimeError, match='^out of memory$') as caught:
        save_atomically(dict(x=OutOfMemory()), str(tmp_path / 'a.pth'))
    assert not isinstance(caught.value, OSError)
    assert os.listdir(tmp_path) == []


def _writes(node):
    """Whether a call writes a file, or puts one in place."""
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    if name == 'open':
        modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == 'mode')]
        return any(set(ast.unparse(mode)) & set('wax+') for mode in modes)
    return name.endswith(('.write_text', '.write_bytes'))


def test_the_package_has_one_way_to_write():
    found = {}
    for path in sorted((ROOT / 'bissl_mm').rglob('*.py')):
        number = sum(map(_writes, ast.walk(ast.parse(path.read_text()))))
        if number:
            found[str(path.relative_to(ROOT))] = number
    assert found == OTHERS


class Thing:
    def name(self):
        return 'class'


def test_a_replaced_attribute_comes_back_from_where_it_was():
    thing = Thing()
    with pytest.raises(KeyError), replaced(thing, 'name', lambda: 'other'):
        assert thing.name() == 'other' and Thing().name() == 'class'
        raise KeyError
    assert thing.name() == 'class' and vars(thing) == {}
    thing.number = None
    with replaced(thing, 'number', 2):
        assert thing.number == 2
    assert vars(thing) == dict(number=None)
