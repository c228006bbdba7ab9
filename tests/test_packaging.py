"""What an installation contains."""

import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_wheel_ships_configs_and_tools(tmp_path):
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
         '--no-build-isolation', '-w', tmp_path, ROOT], check=True,
        capture_output=True)
    wheel, = tmp_path.glob('bissl_mm-*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    package = [str(p.relative_to(ROOT))
               for p in (ROOT / 'bissl_mm').rglob('*.py')]
    assert names >= set(package)
    for folder in ('configs', 'tools'):
        shipped = [f'bissl_mm/.mim/{p.relative_to(ROOT)}'
                   for p in (ROOT / folder).rglob('*')
                   if p.suffix in ('.py', '.sh')]
        assert shipped and names >= set(shipped)
    assert not any(n.startswith('tests/') for n in names)


def test_readme_names_both_commands():
    text = (ROOT / 'README.md').read_text()
    assert 'make demo' in text and 'make test' in text
