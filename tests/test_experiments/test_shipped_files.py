"""The shipped experiment files."""

import re
from collections import Counter

import pytest
from conftest import ROOT

from bissl_mm.experiments.definition.arms import ARMS
from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.report.published import published
from bissl_mm.experiments.runs.graph import Builder

FOLDER = ROOT / 'configs/experiments'
#: Of published numbers by cell; top-5 is not there for every cell.
MEASURES = ('results', 'parameters', 'features')
FILES = sorted(p for p in FOLDER.glob('*.py') if p.name[0] != '_')


def rows() -> dict[str, list[int]]:
    """Numbers of runs by file, of the README's table."""
    found = re.findall(r'`(\w+)\.py` \| (\d+) \+ (\d+) \+ (\d+)', text())
    return {name: [int(n) for n in numbers] for name, *numbers in found}


def text() -> str:
    return (FOLDER / 'README.md').read_text()


def test_readme_lists_every_file_and_every_arm():
    assert set(rows()) == {path.stem for path in FILES} - {'own_folders'}
    words = ' '.join(text().split())
    assert all(name in words for name in ARMS)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_published_numbers_have_the_files_cells(path):
    """Each arm with numbers has them for every task and value of the file."""
    found = read_experiment(str(path))
    numbers = published(found.report.get('published'))
    measures = [m for m in MEASURES if getattr(numbers, m)]
    if not measures:
        assert numbers.none or numbers.hours or path.stem == 'own_folders'
        return
    for measure in measures:
        known = 0
        for setting in found.settings:
            for arm in found.arms:
                cells = [
                    numbers.of(
                        setting.published or '',
                        arm.published,
                        task.name,
                        value,
                        measure,
                    )
                    for task in found.tasks
                    for value in found.vary.values
                ]
                known += sum(cell is not None for cell in cells)
                # The thesis's sweep of epochs has no column for five.
                missing = sum(cell is None for cell in cells)
                assert missing in (0, len(cells)) or path.stem == 'thesis_figure6_5'
        assert known


@pytest.mark.whole
@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_graph_has_the_runs_of_the_readme(path):
    graph = Builder(read_experiment(str(path))).graph()
    kinds = Counter(node.kind for node in graph)
    numbers = [kinds['pretrain'], kinds['stage'], kinds['search'] + kinds['seed']]
    if path.stem != 'own_folders':
        assert rows()[path.stem] == numbers


@pytest.mark.whole
@pytest.mark.parametrize(
    'name, numbers',
    [
        ('small_table1', dict(pretrain=1, stage=6, search=27, seed=45)),
        ('small_table3', dict(pretrain=2, stage=5, search=33, seed=55)),
    ],
)
def test_graph_of_the_small_tables(name, numbers):
    path = ROOT / f'benchmarks/experiments/{name}.py'
    graph = Builder(read_experiment(str(path))).graph()
    assert Counter(node.kind for node in graph) == numbers
