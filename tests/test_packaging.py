"""What an installation contains."""

import email
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from bissl_mm.version import __version__


@pytest.mark.slow
def test_wheel_ships_configs_and_tools(tmp_path):
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '-q',
            '--no-deps',
            '--no-build-isolation',
            '-w',
            tmp_path,
            ROOT,
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob('bissl_mm-*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    package = [
        str(path.relative_to(ROOT))
        for kind in ('*.py', '*.html', '*.json')
        for path in (ROOT / 'bissl_mm').rglob(kind)
    ]
    assert names >= set(package)
    for folder in ('configs', 'tools'):
        shipped = [
            f'bissl_mm/.mim/{p.relative_to(ROOT)}'
            for p in (ROOT / folder).rglob('*')
            if p.suffix in ('.py', '.sh')
        ]
        assert shipped and names >= set(shipped)
    assert not any(n.startswith('tests/') for n in names)
    archive = zipfile.ZipFile(wheel)
    info = f'{wheel.name.rsplit("-", 3)[0]}.dist-info/'
    (licence,) = [n for n in names if n.startswith(info) and n.endswith('/LICENSE')]
    assert archive.read(licence) == (ROOT / 'LICENSE').read_bytes()
    metadata = email.message_from_bytes(archive.read(info + 'METADATA'))
    assert metadata['Author'] == 'the bissl_mm authors'
    assert 'Apache-2.0' in (metadata['License'], metadata['License-Expression'])
    # No version is forced into an existing environment.
    for line in metadata.get_all('Requires-Dist'):
        assert '==' not in str(Requirement(line).specifier), line


@pytest.mark.whole
def test_a_stock_library_finds_the_small_network_by_its_prefix():
    """Nothing of the package is imported before."""
    code = (
        'import mmpretrain.models\n'
        'from mmengine.registry import MODELS, init_default_scope\n'
        'import sys\n'
        "init_default_scope('mmpretrain')\n"
        "assert 'bissl_mm' not in sys.modules\n"
        "backbone = MODELS.build(dict(type='bissl_mm.SmallResNet'))\n"
        'print(len(backbone.state_dict()))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0


def test_a_commit_is_looked_at_by_the_ruff_of_make_lint():
    (pinned,) = re.findall(
        r'^ruff==(\S+)$', (ROOT / 'requirements/lint.txt').read_text(), re.M
    )
    text = (ROOT / '.pre-commit-config.yaml').read_text()
    assert f'ruff-pre-commit\n    rev: v{pinned}\n' in text


def test_citation_names_this_version():
    text = (ROOT / 'CITATION.cff').read_text()
    assert f'\nversion: {__version__}\n' in text


def test_every_data_root_is_below_the_data_folder():
    """No shipped file looks for data outside the user's folders."""
    defaults, literals = set(), set()
    for path in (ROOT / 'configs').rglob('*.py'):
        text = path.read_text()
        defaults |= set(re.findall(r'\{\{\$BISSL_\w+(?:DIR|DATA):(.*?)\}\}', text))
        literals |= set(re.findall(r"'(\.\./.*?)'", text))
    assert 'data' in defaults
    assert all(d.startswith(('data', 'work_dirs/demo')) for d in defaults)
    assert all(path.endswith('.py') for path in literals)


PAGES = [
    'README.md',
    'benchmarks/README.md',
    'CONTRIBUTING.md',
    *(f'docs/{path.name}' for path in sorted((ROOT / 'docs').glob('*.md'))),
]


@pytest.mark.parametrize('page', PAGES)
def test_pages_and_headings_that_a_page_links_to_are_there(page):
    text = (ROOT / page).read_text()
    links = re.findall(r'\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)', text)
    missing = []
    for path, heading in links:
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            missing.append(path)
        elif heading:
            titles = re.findall(r'(?m)^#+ (.*)$', target.read_text())
            # GitHub forms anchors in this way.
            anchors = [
                re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in titles
            ]
            if heading not in anchors:
                missing.append(f'{path}#{heading}')
    assert not missing, missing


@pytest.mark.parametrize('page', PAGES)
def test_files_that_a_page_names_are_there(page):
    # Links start at the page; they have a test of their own.
    text = re.sub(r'\]\([^)]*\)', ']', (ROOT / page).read_text())
    # Commands run in the root; the table of equations names modules.
    named = set(re.findall(r'(?<![\w./-])\w+/[\w./*-]*\.(?:py|sh)\b', text))
    missing = [
        name
        for name in named
        if not any(list(folder.glob(name)) for folder in (ROOT, ROOT / 'bissl_mm'))
    ]
    assert named and not missing, missing


def test_readme_names_both_commands():
    text = (ROOT / 'README.md').read_text()
    assert 'make demo' in text and 'make test' in text
