"""Experiment files for tests: a small one, and the shipped ones in small.

Every shipped file, or those that are named, whole and in small, with one seed and one
setting of the search, on generated data in the layouts of the publishers. It goes on
where it was::

    python tests/experiment_files.py FOLDER [NAME ...]
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import published_layouts
from config_runs import VARIABLES, checkpoints, nodes, write_public_weights
from conftest import ROOT

from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.runs.graph import Builder
from bissl_mm.experiments.runs.own_config import read_own

CONFIGS = ROOT / 'configs'
SETTINGS = dict(
    pretext=str(CONFIGS / 'pretext/simclr_r10_b256-60e_imagefolder-32px.py'),
    bilevel=str(CONFIGS / 'bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py'),
    fine_tune=str(CONFIGS / 'fine_tune/r10_32px.py'),
)


#: What the generated data have.
SET = {name: value for name, value in VARIABLES.items() if value}


def write(folder: Path, **changes) -> str:
    """Write an experiment file.

    Args:
        folder (Path): For the file.
        **changes: Keys in the place of the default ones.

    Returns:
        str: The file.
    """
    values = dict(
        title='a test',
        settings=SETTINGS,
        tasks=['imagefolder-32px'],
        arms=['FT', 'BiSSL+FT'],
        search=dict(settings=3),
        seeds=4,
    )
    values.update(changes)
    path = folder / 'study.py'
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in values.items()))
    return str(path)


def write_data(path: Path, root: Path, tasks: list[str] | None = None) -> None:
    """Everything that the runs of a shipped file read, in small.

    Args:
        path (Path): The file.
        root (Path): Working folder of the runs.
        tasks (list[str], optional): Some of its tasks. Defaults to all.
    """
    options = None if tasks is None else dict(tasks=tasks)
    graph = Builder(read_experiment(str(path), 'small', options)).graph()
    here = Path.cwd()
    os.chdir(root)
    seen = set()
    try:
        for node in graph:
            which = (node.spec['config'], node.spec['task'])
            if which in seen:
                continue
            seen.add(which)
            cfg = read_own(dict(node.spec, patch=None))
            for _, found in nodes(cfg.to_dict()):
                published_layouts.write_missing(found)
            for file in checkpoints(cfg) if node.kind == 'pretrain' else ():
                if not Path(file).exists():
                    write_public_weights(
                        Path(file), Path(which[0]), bool(node.spec['small'])
                    )
    finally:
        os.chdir(here)


def tool(command: str, path: Path, cwd: Path, *arguments: str) -> str:
    """What ``tools/experiment.py`` prints, in a process of its own.

    Args:
        command (str): ``'run'``, ``'report'`` and so on.
        path (Path): The experiment file.
        cwd (Path): Working folder.
        *arguments (str): Besides ``--preset small``.
    """
    found = subprocess.run(
        [sys.executable, ROOT / 'tools/experiment.py', command, path]
        + ['--preset', 'small', *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **SET},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    return found.stdout


#: One row of :func:`main`.
ROW = '| {} | {} | {} | {} | {} |'


def main(folder: str, *names: str) -> None:
    """Print a row for each file: its runs, cells of its report, seconds."""
    root = Path(folder).resolve()
    root.mkdir(parents=True, exist_ok=True)
    os.environ.update(SET)
    print(ROW.format('file', 'runs made', 'shared', 'cells of the report', 'seconds'))
    print(ROW.format(*['---'] * 5), flush=True)
    failed = []
    for path in sorted((CONFIGS / 'experiments').glob('*.py')):
        if path.stem[0] == '_' or names and path.stem not in names:
            continue
        begin = time.time()
        before = len(list(root.glob('store/results/*')))
        # Runs that two files share are made once.
        given = ['--storage', 'store', '--cfg-options', 'seeds=1', 'search.settings=1']
        try:
            write_data(path, root)
            tool('run', path, root, '--workers', '2', *given)
            files = tool('report', path, root, *given).split()
            text = (root / files[0]).read_text()
            assert 'the command run goes on' not in text, text
            cells = count_cells(json.loads((root / files[-1]).read_text()))
        except Exception as error:
            failed.append(path.stem)
            (root / f'{path.stem}.txt').write_text(str(error))
            print(ROW.format(path.stem, 'failed', '', '', ''), flush=True)
            continue
        made = len(list(root.glob('store/results/*'))) - before
        runs = len(json.loads((root / f'store/{path.stem}-graph.json').read_text()))
        seconds = round(time.time() - begin)
        print(ROW.format(path.stem, made, runs - made, cells, seconds), flush=True)
    if failed:
        sys.exit(f'Failed: {", ".join(failed)}. FOLDER/NAME.txt says why.')


def count_cells(report: Any) -> int:
    """Cells of a report's tables; one that lacks a value is a failure."""
    if isinstance(report, list):
        return sum(map(count_cells, report))
    if not isinstance(report, dict):
        return 0
    if 'expected' in report:
        assert len(report['values']) + report['diverged'] == report['expected'], report
        return 1
    return count_cells(list(report.values()))


if __name__ == '__main__':
    main(*sys.argv[1:])
