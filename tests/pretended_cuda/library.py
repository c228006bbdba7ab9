"""Compiles the device guard of a device that is none."""

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from bissl_mm.utils.versions import release

SOURCE = Path(__file__).with_name('guard.cpp')
#: The guard fills the tables of virtual functions of this version.
TORCH = (2, 11)


def why_not() -> str | None:
    """Why no device can be pretended here; None if it can."""
    if torch.cuda.is_available():
        return 'there is a GPU'
    if torch.version.cuda is None:
        return 'torch was built without CUDA'
    if release(torch.__version__)[:2] != TORCH:
        return f'the guard is for torch {TORCH}, not {torch.__version__}'
    if _compiler() is None:
        return 'there is no C++ compiler'
    return None


def _compiler() -> str | None:
    return shutil.which('g++') or shutil.which('clang++')


def compiled(folder: Path) -> Path:
    """The guard as a shared library; compiled if ``folder`` lacks it."""
    text = SOURCE.read_text() + torch.__version__
    name = f'guard-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so'
    library = folder / name
    if not library.is_file():
        root = Path(torch.__file__).parent
        compiler = _compiler()
        assert compiler is not None
        command = [compiler, '-std=c++17', '-O1', '-fPIC', '-shared', str(SOURCE)]
        command += [f'-I{root}/include', f'-L{root}/lib', '-lc10', '-ltorch_cpu']
        # A folder of its own: several workers may compile at the same time.
        with tempfile.TemporaryDirectory(dir=folder) as own:
            new = Path(own) / name
            subprocess.run([*command, '-o', str(new)], check=True)
            new.replace(library)
    return library


def install(library: Path) -> None:
    """Replace torch's CUDA guard for the rest of the process.

    There is no way back, so a process of its own is needed.
    """
    assert why_not() is None, why_not()
    ctypes.CDLL(str(library)).pretend_cuda()
