"""``tools/slurm_experiment.sh`` with stand-ins for Slurm's commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import experiment_files
import pytest
from conftest import ROOT
from small_run import make_folders

#: Starts the jobs of an array at once, as processes, and waits for them.
SBATCH = """#!{python}
import json, os, re, subprocess, sys
given = sys.argv[1:]
open('sbatch.json', 'w').write(json.dumps(given))
(span,) = [a for a in given if a.startswith('--array=')]
first, last = map(int, re.fullmatch(r'--array=(\\d+)-(\\d+)', span).groups())
jobs = []
for task in range(first, last + 1):
    own = dict(
        os.environ,
        SLURM_JOB_ID=str(70 + task),
        SLURM_ARRAY_JOB_ID='70',
        SLURM_ARRAY_TASK_ID=str(task),
        SLURM_ARRAY_TASK_COUNT=str(last),
        SLURM_NTASKS='1',
        SLURM_JOB_NUM_NODES='1',
        SLURM_JOB_NODELIST='node01',
    )
    with open(f'job-{{task}}.txt', 'w') as log:
        command = ['bash', '-c', given[given.index('--wrap') + 1]]
        jobs.append(subprocess.Popen(command, env=own, stdout=log, stderr=log))
sys.exit(max(job.wait() for job in jobs))
"""
SRUN = """#!/usr/bin/env bash
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_STEP_ID=0
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


def submit(folder: Path, *arguments: str, **variables: str) -> list[str]:
    """Submit; returns what sbatch got.

    Args:
        folder (Path): Working folder.
        *arguments (str): Of the script.
        **variables (str): Of the environment.
    """
    binaries = folder / 'bin'
    binaries.mkdir()
    for name, text in (
        ('sbatch', SBATCH.format(python=sys.executable)),
        ('srun', SRUN),
    ):
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    path = os.pathsep.join(
        [str(binaries), str(Path(sys.executable).parent), os.environ['PATH']]
    )
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/slurm_experiment.sh'), *arguments],
        cwd=folder,
        env={**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), **variables},
        capture_output=True,
        text=True,
    )
    logs = [p.read_text()[-2000:] for p in folder.glob('job-*.txt')]
    assert done.returncode == 0, (done.stderr, logs)
    return json.loads((folder / 'sbatch.json').read_text())


@pytest.mark.whole
def test_two_jobs_of_an_array_share_the_runs(tmp_path):
    make_folders(tmp_path)
    path = experiment_files.write(tmp_path, arms=['FT'])
    storage = tmp_path / 'a store'
    given = submit(
        tmp_path,
        'gpu',
        '2',
        path,
        '--preset',
        'small',
        '--storage',
        str(storage),
        BISSL_PRETEXT_DIR=str(tmp_path / 'pretext'),
        BISSL_DOWNSTREAM_DIR=str(tmp_path / 'downstream'),
        BISSL_NUM_CLASSES='3',
        OMP_NUM_THREADS='1',
        GPUS_PER_JOB='2',
        TIME='1:00:00',
    )
    for part in (
        '--job-name=study',
        '--array=1-2',
        '--gres=gpu:2',
        '--cpus-per-task=16',
        '--time=1:00:00',
    ):
        assert part in given
    assert given[-1].startswith('srun --cpus-per-task=16 python')
    for task in (1, 2):
        log = (tmp_path / f'job-{task}.txt').read_text()
        assert '5 runs done' in log and 'by 1 workers' in log
    assert len(list(storage.glob('results/*.json'))) == 5
    # No run was begun twice.
    assert not list(storage.glob('claims/*.2'))
