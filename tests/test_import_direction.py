"""Which modules may import which, by syntax trees and a fresh process."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / 'bissl_mm'

#: First folder of the importing file -> what it must not import.
FORBIDDEN = {
    'hypergradient': (
        'mmengine',
        'mmcv',
        'mmdet',
        'mmseg',
        'mmpretrain',
        'bissl_mm.models',
        'bissl_mm.engine',
        'bissl_mm.datasets',
        'bissl_mm.registry',
    ),
    'models': ('bissl_mm.hypergradient', 'bissl_mm.engine', 'bissl_mm.datasets'),
    'datasets': ('bissl_mm.hypergradient', 'bissl_mm.models', 'bissl_mm.engine'),
    # Libraries of the extra are imported where they are used.
    'text': (
        'transformers',
        'tokenizers',
        'sklearn',
        'bissl_mm.hypergradient',
        'bissl_mm.models',
        'bissl_mm.engine',
    ),
    # Preparing data needs neither torch nor the rest of the package.
    'prepare': (
        'torch',
        'mmengine',
        'mmcv',
        'bissl_mm.registry',
        'bissl_mm.hypergradient',
        'bissl_mm.models',
        'bissl_mm.engine',
        'bissl_mm.datasets',
        'bissl_mm.analysis',
    ),
    'utils': (
        'bissl_mm.hypergradient',
        'bissl_mm.models',
        'bissl_mm.engine',
        'bissl_mm.datasets',
    ),
    # Only the tool imports experiments.
    **dict.fromkeys(('analysis', 'config', 'engine'), ('bissl_mm.experiments',)),
}


#: Room -> rooms of the same folder that it may import.
ROOMS = {
    'hypergradient': {
        'linalg': (),
        'second_order': (),
        'operators': ('linalg', 'second_order'),
        'regularizers': ('linalg', 'operators'),
        'solvers': ('linalg', 'operators'),
        'domain': ('linalg',),
        'implicit': ('domain', 'linalg', 'operators', 'solvers'),
        'unrolled': ('linalg', 'operators', 'solvers'),
    },
    # Modules of the folder itself join its subfolders.
    'models': {
        'losses': (),
        'pretext': (),
        'weights': (),
        'backbone_map': (),
        'checks': (),
        'batch_views': (),
        'small_resnet': (),
        'levels': ('backbone_map',),
        'lora': ('backbone_map',),
        'bissl_model': (
            'backbone_map',
            'levels',
            'lora',
            'losses',
            'pretext',
            'weights',
        ),
        'agreement': ('bissl_model', 'weights'),
    },
    'analysis': {
        'json_file': (),
        'permutation_test': (),
        'scalars': (),
        'features': (),
        'report': ('permutation_test', 'scalars'),
        'runs': ('permutation_test',),
        'demo': ('features', 'permutation_test', 'report', 'runs', 'scalars'),
    },
    'experiments': {
        'queue': (),
        'definition': (),
        'runs': ('definition', 'queue'),
        'report': ('definition', 'queue', 'runs'),
    },
    'engine': {
        'distributed': (),
        'checks': ('distributed',),
        'steps': ('checks', 'distributed'),
        'hooks': ('checks', 'distributed', 'steps'),
        'loop': ('checks', 'distributed', 'steps'),
        'memory': ('checks', 'distributed', 'loop', 'steps'),
    },
}


def imported_names(path: Path) -> list:
    parts = ('bissl_mm', *path.relative_to(PACKAGE).with_suffix('').parts)
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(parts[: -node.level]) if node.level else []
            base += [node.module] if node.module else []
            # ``from .. import engine`` names a module, too.
            names += ['.'.join(base + [alias.name]) for alias in node.names]
    return names


def private_names(path: Path) -> list:
    """Private names of the package that a file imports, or writes as a string:
    a monkeypatch takes such."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith(
            'bissl_mm'
        ):
            found += [a.name for a in node.names if re.match(r'_[a-z]', a.name, re.I)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ('setattr', 'delattr', 'getattr', 'patch', 'patch.object')
        ):
            found += [
                argument.value
                for argument in node.args[:2]
                if isinstance(argument, ast.Constant)
                and re.search(r'(^|\.)_[a-z]\w*', str(argument.value), re.I)
            ]
    return found


def test_no_test_reaches_into_privates():
    """By import or by name; ruff (SLF001) sees the rest."""
    found = {
        (str(path.relative_to(TESTS)), name)
        for path in sorted(TESTS.rglob('*.py'))
        for name in private_names(path)
    }
    assert found == {
        # torch's own.
        ('pretended_cuda/mode.py', '_foreach_supported_types'),
        ('pretended_cuda/tensor.py', '_is_param'),
        ('test_engine/test_rank_check.py', '_foreach_norm'),
        ('test_utils/test_checkpoint_files.py', '_hub_dir'),
    }


@pytest.mark.parametrize(
    'path', sorted(PACKAGE.rglob('*.py')), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_point_one_way(path):
    folder = path.relative_to(PACKAGE).parts[0]
    names = imported_names(path)
    for name in names:
        for forbidden in FORBIDDEN.get(folder, ()):
            assert not (name + '.').startswith(forbidden + '.'), name
        assert not name.startswith(('mmdet', 'mmseg')), name
        if name.startswith('mmpretrain'):
            # Tasks, losses and a network that extend mmpretrain's own.
            assert path.parent.name == 'pretext' or path.name in (
                'small_resnet.py',
                'convex_losses.py',
            ), name


@pytest.mark.parametrize(
    'folder, room',
    [(folder, room) for folder, rooms in ROOMS.items() for room in rooms],
)
def test_rooms_of_a_folder_point_one_way(folder, room):
    allowed = (room, *ROOMS[folder][room])
    files = [PACKAGE / folder / f'{room}.py', *(PACKAGE / folder / room).glob('*.py')]
    assert any(path.exists() for path in files)
    for path in filter(Path.exists, files):
        for name in imported_names(path):
            parts = name.split('.')
            if parts[:2] == ['bissl_mm', folder]:
                assert len(parts) > 2 and parts[2] in allowed, (path, name)


def test_every_folder_has_rooms_that_the_test_knows():
    for folder, rooms in ROOMS.items():
        found = {p.parent.name for p in (PACKAGE / folder).glob('*/*.py')}
        assert found <= set(rooms)


def test_hypergradient_core_loads_without_openmmlab():
    code = (
        'import sys, bissl_mm.hypergradient; '
        'print([m for m in ("mmengine", "mmcv", "mmpretrain") '
        'if m in sys.modules])'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == '[]'
