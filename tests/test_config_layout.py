"""The configs are small files that say a thing once."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from task_configs import (
    CHANGED,
    CONFIGS,
    FIRST_VERSION,
    PUBLISHED,
    THRIFTY,
    VARIANTS,
    shipped,
    tasks_of,
)

from bissl_mm.config import notes_of, read_config
from bissl_mm.config.sources import Source, read_sources
from bissl_mm.config.tasks import find_slot, task_in_environment
from bissl_mm.engine.steps.settings import HypergradientSettings
from bissl_mm.registry import build_regularizer

FILES = sorted((ROOT / 'configs').rglob('*.py'))
#: Equal lines in a row that count as a copy.
RUN = 6


def code(path: Path) -> list[str]:
    """Lines of a file as the formatter has them, without blank ones and without
    those that are a comment."""
    lines = [line.rstrip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.lstrip().startswith('#')]


def copied(files: dict[str, list[str]]) -> int:
    """Lines within runs of equal lines that occur twice, in any two places."""
    runs = Counter(
        tuple(lines[i : i + RUN])
        for lines in files.values()
        for i in range(len(lines) - RUN + 1)
    )
    total = 0
    for lines in files.values():
        found = set()
        for i in range(len(lines) - RUN + 1):
            if runs[tuple(lines[i : i + RUN])] > 1:
                found.update(range(i, i + RUN))
        total += len(found)
    return total


def test_runs_of_equal_lines_are_counted():
    six = [f'a = {i}' for i in range(6)]
    assert copied(dict(a=[*six, 'b'], b=['c', *six])) == 12
    assert copied(dict(a=[*six[:5], 'b'], b=six)) == 0
    assert copied(dict(a=[*six, 'b', *six, 'c'], b=['d'])) == 12


def test_few_lines_are_copies():
    files = {str(path): code(path) for path in FILES}
    assert copied(files) < 0.15 * sum(map(len, files.values()))


def depth(source: Source) -> int:
    return max((1 + depth(base) for base in source.bases), default=0)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_bases_are_two_levels_deep(path):
    for task in tasks_of(path):
        with task_in_environment(task):
            source = read_sources(str(path))
        assert depth(source) <= 2
        # All of them were found.
        assert all(Path(each.path).is_file() for each in source.chain())


@pytest.mark.parametrize('path', THRIFTY, ids=lambda path: path.stem)
def test_thrifty_configs_change_numbers_of_steps_only(path):
    (base,) = read_sources(str(path)).bases
    found, paper = (shipped(Path(each)) for each in (path, base.path))
    steps = dict(num_alternations=200, num_lower_steps=5, num_upper_steps=4)
    assert dict(paper.train_cfg, **steps) == found.train_cfg
    warmup, rest = found.param_scheduler.lower
    # As in B.4: 10 * N_L.
    assert warmup.end == rest.begin == 50
    changed = {key for key in {*found, *paper} if found.get(key) != paper.get(key)}
    assert changed == {'train_cfg', 'param_scheduler'}
    assert tasks_of(path) == tasks_of(Path(base.path))
    assert notes_of(read_config(str(path))) == []


@pytest.mark.parametrize('path', FIRST_VERSION, ids=lambda path: path.stem)
def test_the_first_version_differs_in_three_settings(path):
    (base,) = read_sources(str(path)).bases
    found, published = (shipped(Path(each)) for each in (path, base.path))
    solving = dict(
        published.optim_wrapper.hypergradient, batches='first', num_batches=5
    )
    if solving['solver']['type'] == 'IdentitySolver':
        # The small stage takes v itself.
        system = dict(type='LayerwiseCGSolver', max_iters=5)
        solving.update(solver=system, damping=10.0, check_residual='random')
    assert found.optim_wrapper == dict(
        published.optim_wrapper, direct_weight=0.01, hypergradient=solving
    )
    assert found.train_cfg == dict(
        published.train_cfg, backbone_adaptation=dict(interval=5, alpha=0.1)
    )
    changed = {k for k in {*found, *published} if found.get(k) != published.get(k)}
    assert changed == {'train_cfg', 'optim_wrapper'}
    assert notes_of(read_config(str(path))) == []


@pytest.mark.parametrize('path', PUBLISHED, ids=lambda path: path.stem)
def test_the_published_small_stage_keeps_images_and_models(path):
    _, base = read_sources(str(path)).bases
    found, own = (shipped(Path(each)) for each in (path, base.path))
    changed = {key for key in {*found, *own} if found.get(key) != own.get(key)}
    numbers = {'train_cfg', 'optim_wrapper', 'param_scheduler'}
    assert changed == numbers | {'paper', 'warmup', 'decay'}
    system = found.optim_wrapper.hypergradient
    assert system.solver == dict(type='LayerwiseCGSolver', max_iters=5)
    assert system.damping == 10.0 and 'check_residual' not in system
    warmup, rest = found.param_scheduler.lower
    assert warmup.end == rest.begin == 10 == found.train_cfg.num_alternations
    assert tasks_of(path) == tasks_of(Path(base.path))
    assert notes_of(read_config(str(path))) == []


@pytest.mark.parametrize('path', VARIANTS, ids=lambda path: path.stem)
def test_variants_change_what_they_are_named_after(path):
    (base,) = read_sources(str(path)).bases
    found, published = (shipped(Path(each)) for each in (path, base.path))
    (expected,) = (
        keys for ending, keys in CHANGED.items() if path.stem.endswith(ending)
    )
    changed = {
        f'{key}.{inner}'
        for key in {*found, *published}
        if found.get(key) != published.get(key)
        for inner in {*found[key], *published[key]}
        if found[key].get(inner) != published[key].get(inner)
    }
    assert changed == expected
    wrapper = found.optim_wrapper
    build_regularizer(wrapper.regularizer)
    HypergradientSettings.read(wrapper.get('hypergradient'))
    assert notes_of(read_config(str(path))) == []


def test_no_setting_is_made_by_its_place_in_a_list():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            for target in getattr(node, 'targets', ()):
                places = [n for n in ast.walk(target) if isinstance(n, ast.Subscript)]
                assert not places, f'{path}: {ast.unparse(target)}'


def test_every_task_is_taken_by_a_config():
    folder = ROOT / 'configs/_base_/tasks'
    slots = [slot for path in CONFIGS if (slot := find_slot(str(path)))]
    named = {task for slot in slots for task in slot.tasks()}
    # Digits have a demo of their own, without --task.
    there = {path.stem for path in folder.glob('[!_]*.py')}
    assert named == there - {'digits'}
    for slot in slots:
        assert slot.takes(slot.default), slot


#: Where commands are written down.
TEXTS = [
    *FILES,
    ROOT / 'README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'benchmarks').rglob('*.md')),
    *sorted((ROOT / 'tools').glob('*.py')),
]


def commands(path: Path) -> list[str]:
    """Lines of a text that name a config, continued ones joined."""
    text = re.sub(r'\\+\n#?\s*', '', path.read_text())
    return [
        line for line in text.splitlines() if re.search(r'configs/\w+/\S+\.py', line)
    ]


def test_commands_name_configs_and_tasks_that_are_there():
    number = 0
    for path in TEXTS:
        for line in commands(path):
            for name in re.findall(
                r'configs/(?:pretext|bissl|fine_tune|demo)/\S+?\.py', line
            ):
                number += 1
                # A loop's variable stands for any name.
                pattern = re.sub(r'\$(\w+|\{\w+\})', '*', name)
                assert list(ROOT.glob(pattern)), f'{path}: {name}'
            task = re.search(r'(configs/\S+\.py).*--task ([\w-]+)', line)
            if task:
                slot = find_slot(str(ROOT / task[1]))
                assert slot and slot.takes(task[2]), f'{path}: {line}'
    assert number > 60
