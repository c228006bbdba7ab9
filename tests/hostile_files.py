"""Files that would run code, or take more memory than they have bytes.

``EXECUTING`` and ``OTHER`` map the name of a kind to a function. It takes the
code that would run and returns the bytes of a file. The code only writes a
marker, see :func:`marking`. Call :func:`register_extension` first, which puts
:data:`EXTENSION` into the extension registry.
"""

import copyreg
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

MAGIC = 0x1950A86A20F9469CFC6C
EXTENSION = ('builtins', 'exec', 0xF1)
LONG_EXTENSIONS = (('posix', 'getcwd', 0xF1F1), ('posix', 'getpid', 0xF1F1F1))
INFO = dict(
    protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4)
)


def register_extension() -> None:
    for module, name, code in (EXTENSION, *LONG_EXTENSIONS):
        if (module, name) not in copyreg._extension_registry:
            copyreg.add_extension(module, name, code)


def marking(path: Path) -> str:
    """Code that creates a file."""
    return f'open({str(path)!r}, "w").close()'


def text(value: str) -> bytes:
    data = value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def named(module: str, name: str) -> bytes:
    return f'c{module}\n{name}\n'.encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b'(' + b''.join(arguments) + b'tR'


def instance(kind: bytes) -> bytes:
    return kind + b')\x81'


EXEC = named('builtins', 'exec')
GETATTR = named('builtins', 'getattr')
#: exec, reached through attributes of an allowed name.
REACHED = call(GETATTR, call(GETATTR, GETATTR, text('__self__')), text('exec'))


def item(key: str, value: bytes) -> bytes:
    return b'}' + text(key) + value + b's'


def chain(kind: bytes, code: str) -> bytes:
    """Two states, of which the second puts a method into the first."""
    return instance(kind) + item('__setstate__', REACHED) + b'b' + text(code) + b'b'


def memmap(code: str, kind: bytes, end: bytes) -> bytes:
    """A class whose ``__new__`` writes a file."""
    path = code.split("'")[1]
    return (
        kind + b'(' + text(path) + text('uint8') + text('w+') + b'K\0K\x01\x85t' + end
    )


MEMMAP = named('numpy', 'memmap')
STREAMS: dict[str, Callable[[str], bytes]] = {
    'GLOBAL and REDUCE': lambda code: call(EXEC, text(code)),
    'GLOBAL of Python 2': lambda code: call(named('__builtin__', 'exec'), text(code)),
    'STACK_GLOBAL': lambda code: call(
        text('builtins') + text('exec') + b'\x93', text(code)
    ),
    # Dotted paths exist from protocol 4 on.
    'STACK_GLOBAL of a path': lambda code: (
        b'\x80\x04'
        + call(
            text('argparse') + text('_os.system') + b'\x93',
            text(': > ' + code.split("'")[1]),
        )
    ),
    'INST': lambda code: b'(' + text(code) + b'ibuiltins\nexec\n',
    'OBJ': lambda code: b'(' + EXEC + text(code) + b'o',
    'NEWOBJ': lambda code: memmap(code, MEMMAP, b'\x81'),
    'NEWOBJ_EX': lambda code: memmap(code, MEMMAP, b'}\x92'),
    'EXT1': lambda code: call(b'\x82\xf1', text(code)),
    'EXT2': lambda code: b'\x83\xf1\xf1)R0' + call(EXEC, text(code)),
    'EXT4': lambda code: b'\x84\xf1\xf1\xf1\0)R0' + call(EXEC, text(code)),
    'BUILD of a namespace': partial(chain, named('argparse', 'Namespace')),
    'BUILD of a history': partial(
        chain, named('mmengine.logging.history_buffer', 'HistoryBuffer')
    ),
    'BUILD of an OrderedDict': partial(chain, named('collections', 'OrderedDict')),
    'BUILD of a Counter': partial(chain, named('collections', 'Counter')),
    'APPENDS to a namespace': lambda code: (
        instance(named('argparse', 'Namespace'))
        + item('append', EXEC)
        + b'b('
        + text(code)
        + b'e'
    ),
    'APPEND to a namespace': lambda code: (
        instance(named('argparse', 'Namespace'))
        + item('append', EXEC)
        + b'b'
        + text(code)
        + b'a'
    ),
    'ADDITEMS to a namespace': lambda code: (
        instance(named('argparse', 'Namespace'))
        + item('add', EXEC)
        + b'b('
        + text(code)
        + b'\x90'
    ),
    'SETITEM of a module': lambda code: (
        call(named('operator', 'methodcaller'), text('__call__'), text(code))
        + b'('
        + EXEC
        + b'tR'
    ),
    'getattr': lambda code: call(REACHED, text(code)),
    'through a tensor of another type': lambda code: call(
        named('torch._tensor', '_rebuild_from_type_v2'),
        EXEC,
        named('torch', 'Tensor'),
        b'(' + text(code) + b't',
        b'}',
    ),
    'torch.storage': lambda code: call(
        named('torch.storage', '_load_from_bytes'),
        call(
            named('_codecs', 'encode'),
            text(legacy(call(EXEC, text(code))).decode('latin1')),
            text('latin1'),
        ),
    ),
    'pickle in a pickle': lambda code: call(
        named('pickle', 'loads'),
        call(
            named('_codecs', 'encode'),
            text((call(EXEC, text(code)) + b'.').decode('latin1')),
            text('latin1'),
        ),
    ),
    'timer': lambda code: call(
        named('timeit', 'timeit'),
        text(code),
        text('pass'),
        named('time', 'time'),
        b'K\x01',
    ),
    'profiler': lambda code: call(
        named('cProfile', 'run'), text(code), text('/dev/null')
    ),
    'array of objects': lambda code: call(
        named('numpy', 'array'),
        b']' + call(EXEC, text(code)) + b'a',
        named('numpy', 'object_'),
    ),
    'beside weights': lambda code: (
        b'}('
        + text('state_dict')
        + b'}'
        + text('optimizer')
        + b'}'
        + text('message_hub')
        + item('runtime_info', item('loss', call(EXEC, text(code))))
        + b'u'
    ),
    'in a namespace': lambda code: (
        instance(named('argparse', 'Namespace'))
        + item('args', call(EXEC, text(code)))
        + b'b'
    ),
    'BINPERSID': lambda code: (
        b'('
        + text('storage')
        + call(EXEC, text(code))
        + text('0')
        + text('cpu')
        + b'K\x01tQ'
    ),
}


def zipped(stream: bytes, **records: bytes) -> bytes:
    """A file in the format of torch.save since 1.6."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02' + stream + b'.')
        archive.writestr('archive/byteorder', 'little')
        for name, content in records.items():
            archive.writestr(f'archive/data/{name[1:]}', content)
        archive.writestr('archive/version', '3\n')
    return file.getvalue()


def legacy(stream: bytes, keys: bytes = b'].') -> bytes:
    """A file in the format of torch.save before 1.6."""
    return (
        b''.join(pickle.dumps(part, 2) for part in (MAGIC, 1001, INFO))
        + b'\x80\x02'
        + stream
        + b'.'
        + b'\x80\x02'
        + keys
    )


def tar(code: str) -> bytes:
    """A file in the format of torch.save before 0.2."""
    file = io.BytesIO()
    evil = b'\x80\x02' + call(EXEC, text(code)) + b'.'
    with tarfile.open(fileobj=file, mode='w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            info = tarfile.TarInfo(name)
            info.size = len(evil)
            archive.addfile(info, io.BytesIO(evil))
    return file.getvalue()


def object_array(code: str, compressed: bool) -> bytes:

    class Evil:
        def __reduce__(self):
            return exec, (code,)

    file = io.BytesIO()
    array = np.array([Evil()], dtype=object)
    np.savez(file, a=array) if compressed else np.save(file, array)
    return file.getvalue()


def script(code: str) -> bytes:
    """A TorchScript archive with a pickle beside its program."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), file)
    with zipfile.ZipFile(file, 'a') as archive:
        archive.writestr('archive/extra/data.pkl', call(EXEC, text(code)) + b'.')
    return file.getvalue()


def protocol(number: int, code: str) -> bytes:
    class Evil:
        def __reduce__(self):
            return exec, (code,)

    return pickle.dumps(dict(state_dict=Evil()), number)


def behind(code: str) -> bytes:
    """An archive that is followed by another archive."""
    return zipped(b'}') + zipped(call(EXEC, text(code)))


def double(code: str) -> bytes:
    file = io.BytesIO(zipped(b'}'))
    with zipfile.ZipFile(file, 'a') as archive:
        archive.writestr(
            'archive/DATA.PKL', b'\x80\x02' + call(EXEC, text(code)) + b'.'
        )
    return file.getvalue()


EXECUTING = {
    **{
        f'{name} (zip)': lambda code, s=stream: zipped(s(code))
        for name, stream in STREAMS.items()
    },
    **{
        f'{name} (before 1.6)': lambda code, s=stream: legacy(s(code))
        for name, stream in STREAMS.items()
    },
    **{f'pickle of protocol {n}': partial(protocol, n) for n in range(6)},
}


def storage(kind: str, number: int, size: int, more: bytes = b'') -> bytes:
    """A tensor on a storage that claims a number of elements."""
    claim = (
        b'('
        + text('storage')
        + named('torch', kind)
        + text('0')
        + text('cpu')
        + b'J'
        + struct.pack('<i', number)
        + more
        + b'tQ'
    )
    return call(
        named('torch._utils', '_rebuild_tensor_v2'),
        claim,
        b'K\0',
        b'J' + struct.pack('<i', size) + b'\x85',
        b'K\x01\x85',
        b'\x89',
        instance(named('collections', 'OrderedDict')),
    )


def inflating(code: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            'archive/data.pkl',
            b'\x80\x02' + storage('FloatStorage', 1 << 22, 1 << 22) + b'.',
        )
        archive.writestr('archive/data/0', bytes(1 << 24))
        archive.writestr('archive/version', '3\n')
    return file.getvalue()


def overlapping(code: str) -> bytes:
    """An archive whose directory has the same record in every entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02}.')
        archive.writestr('archive/data/0', bytes(1 << 16))
        shared = archive.filelist[1]
        for i in range(1, 20):
            entry = zipfile.ZipInfo(f'archive/data/{i}')
            for field in ('header_offset', 'CRC', 'file_size', 'compress_size'):
                setattr(entry, field, getattr(shared, field))
            archive.filelist.append(entry)
    return file.getvalue()


def safetensors(header: bytes, length: int = -1) -> bytes:
    return struct.pack('<Q', len(header) if length < 0 else length) + header


OTHER = {
    'tar archive': tar,
    'NumPy array of objects': lambda code: object_array(code, False),
    'npz of objects': lambda code: object_array(code, True),
    'TorchScript': script,
    'name twice but for case': double,
    'archive behind an archive': behind,
    'PERSID': lambda code: zipped(b'P' + b'0\n'),
    'module by BINPERSID': lambda code: legacy(
        b'('
        + text('module')
        + named('collections', 'OrderedDict')
        + text('file')
        + text(code)
        + b'tQ'
    ),
    'deflated zip': inflating,
    'overlapping zip': overlapping,
    'storage beyond its record': lambda code: zipped(
        storage('FloatStorage', 1 << 20, 1 << 20), _0=bytes(16)
    ),
    'storage beyond the file': lambda code: legacy(
        storage('FloatStorage', 1 << 30, 4, b'N'), b']' + text('0') + b'a.'
    ),
    'tensor beyond its storage': lambda code: (
        legacy(storage('FloatStorage', 4, 1 << 30, b'N'), b']' + text('0') + b'a.')
        + struct.pack('<q', 4)
        + bytes(16)
    ),
    'tensor by its size': lambda code: zipped(
        call(named('torch', 'FloatTensor'), b'J' + struct.pack('<i', 1 << 30))
    ),
    'bytes by their number': lambda code: zipped(
        call(named('builtins', 'bytearray'), b'J' + struct.pack('<i', 1 << 30))
    ),
    'safetensors with a huge header': lambda code: safetensors(b'{}', 1 << 40),
    'safetensors without JSON': lambda code: safetensors(b'{' + b'x' * 64),
    'safetensors beyond the file': lambda code: safetensors(
        json.dumps(
            dict(a=dict(dtype='F32', shape=[1 << 40], data_offsets=[0, 1 << 42]))
        ).encode()
    ),
    'safetensors of a pickle': lambda code: safetensors(
        b'{' + call(EXEC, text(code)) + b'.'
    ),
}
