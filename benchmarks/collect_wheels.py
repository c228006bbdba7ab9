"""Wheels for a GPU machine that reaches no package index.

OpenMMLab's libraries and the small packages that they import, all of them pure
Python, so that one folder serves every Python and processor. mmcv is built
without compiled operators. The machine itself must have torch, torchvision,
einops, matplotlib, numpy, opencv, pillow, pytest, pyyaml, rich, scikit-learn,
scipy, click and markdown::

    python benchmarks/collect_wheels.py wheels

Then, on the machine, in this repository::

    python -m pip install --no-index --no-deps --target /tmp/site wheels/*.whl
    PYTHONPATH=/tmp/site:$PWD python benchmarks/gpu.py
"""

import argparse
import re
import subprocess
import sys
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / 'requirements'
#: By the file that pins them.
PACKAGES = {
    'openmmlab.txt': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'),
    'constraints.txt': (
        'addict',
        'importlib_metadata',
        'mat4py',
        'model-index',
        'modelindex',
        'ordered-set',
        'platformdirs',
        'termcolor',
        'yapf',
    ),
}
#: Oldest pip with --build-constraint.
PIP = (25, 3)


def pinned() -> list[str]:
    """``name==version`` of every package, as the tests have them."""
    found = []
    for file, names in PACKAGES.items():
        lines = (REQUIREMENTS / file).read_text().splitlines()
        for name in names:
            found += [line for line in lines if line.startswith(f'{name}==')]
    return found


def pip(*args: str) -> None:
    subprocess.run([sys.executable, '-m', 'pip', *args], check=True)


def check_pip() -> None:
    """End with a sentence if pip is too old."""
    shown = subprocess.run(
        [sys.executable, '-m', 'pip', '--version'], capture_output=True, text=True
    ).stdout
    version = re.match(r'pip (\d+)\.(\d+)', shown)
    if version is None or tuple(map(int, version.groups())) < PIP:
        sys.exit(
            f'{sys.executable}: pip {".".join(map(str, PIP))} or newer is needed, '
            f'found {shown.split(" from")[0] or "none"}. Type {sys.executable} -m '
            f'pip install "pip>={".".join(map(str, PIP))}"'
        )


def check_wheel(path: Path) -> None:
    """End with a sentence if a wheel holds machine code."""
    with zipfile.ZipFile(path) as wheel:
        compiled = [n for n in wheel.namelist() if n.endswith(('.so', '.pyd'))]
    if compiled or not path.stem.endswith('-none-any'):
        sys.exit(
            f'{path}: holds compiled code ({compiled[:1]}), which serves one Python '
            'only. Empty the folder and run this again.'
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='empty or new')
    folder = parser.parse_args().folder
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f'{folder} is not empty: two versions of a package would collide.')
    check_pip()
    # mmcv compiles operators for a torch that it sees only. An isolated build
    # sees none, and pip's cache might hold a wheel with operators.
    pip(
        'wheel',
        '--quiet',
        '--no-cache-dir',
        '--no-deps',
        '--build-constraint',
        str(REQUIREMENTS / 'build.txt'),
        '--wheel-dir',
        str(folder),
        *pinned(),
    )
    wheels = sorted(folder.glob('*.whl'))
    for path in wheels:
        check_wheel(path)
    size = sum(path.stat().st_size for path in wheels)
    print(f'{len(wheels)} wheels, {size / 2**20:.1f} MiB, in {folder}')


if __name__ == '__main__':
    main()
