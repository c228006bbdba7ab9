"""The launch scripts on several nodes, with fake Slurm and torch commands."""

import os
import subprocess

import pytest
from conftest import ROOT

#: Runs the given command once a node, as srun does.
SRUN = """#!/usr/bin/env bash
while [ "$1" != bash ]; do echo "srun $1"; shift; done
for node in 0 1; do
    SLURM_NNODES=2 SLURM_NODEID=$node SLURM_JOB_NODELIST='gpu[07-08]' "$@"
done
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = 'show hostnames gpu[07-08]' ] && printf 'gpu07\\ngpu08\\n'
"""
PYTHON = """#!/usr/bin/env bash
printf 'python'; printf ' <%s>' "$@"; echo
"""


@pytest.fixture
def shell(tmp_path):
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL), ('python', PYTHON)):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)

    def run(*command, **variables):
        clean = {
            k: v for k, v in os.environ.items() if k not in ('NODES', 'NNODES', 'PORT')
        }
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={**clean, 'PATH': f'{tmp_path}:{clean["PATH"]}', **variables},
        )
        return done.stdout.splitlines()

    return run


def launch(rank, address, port, processes, *rest):
    words = [
        '-m',
        'torch.distributed.run',
        '--nnodes=2',
        f'--node_rank={rank}',
        f'--master_addr={address}',
        f'--master_port={port}',
        f'--nproc_per_node={processes}',
        *rest,
    ]
    return ' '.join(f'<{word}>' for word in words)


def in_order(line):
    """In any order of the launcher's own options."""
    words = line.split(' <')
    return sorted(words[: words.index('tools/train.py>')]), words[
        words.index('tools/train.py>') :
    ]


def test_slurm_starts_a_launcher_on_each_node(shell):
    lines = shell(
        'tools/slurm_train.sh',
        'a100',
        'my job',
        'my config.py',
        '--cfg-options',
        'a.b=1',
        'name=two words',
        NODES='2',
        GPUS_PER_NODE='4',
        PORT='1234',
        SRUN_ARGS='--time=10:00 --exclusive',
    )
    assert set(lines[:-2]) >= {
        'srun --nodes=2',
        'srun --ntasks=2',
        'srun --ntasks-per-node=1',
        'srun --gres=gpu:4',
        'srun --cpus-per-task=32',
        'srun -p',
        'srun a100',
        'srun --job-name=my job',
        'srun --kill-on-bad-exit=1',
        'srun --time=10:00',
        'srun --exclusive',
    }
    for rank, line in enumerate(lines[-2:]):
        expected = 'python <-u> ' + launch(
            rank,
            'gpu07',
            1234,
            4,
            'tools/train.py',
            'my config.py',
            '--launcher',
            'pytorch',
            '--cfg-options',
            'a.b=1',
            'name=two words',
        )
        assert in_order(line) == in_order(expected)


def test_dist_train_takes_its_place_among_the_nodes(shell):
    (line,) = shell(
        'tools/dist_train.sh',
        'c.py',
        '3',
        '--resume',
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='gpu07',
        PORT='1234',
    )
    expected = 'python ' + launch(
        1,
        'gpu07',
        1234,
        3,
        'tools/train.py',
        'c.py',
        '--launcher',
        'pytorch',
        '--resume',
    )
    assert in_order(line) == in_order(expected)


def test_one_node_needs_no_address(shell):
    (line,) = shell('tools/dist_train.sh', 'c.py', '3')
    assert '<--standalone>' in line and '<--nnodes=1>' in line


@pytest.mark.parametrize(
    'command',
    [
        ['dist_train.sh'],
        ['dist_train.sh', 'config.py', '--task', 'dtd5'],
        ['dist_test.sh', 'config.py', 'checkpoint.pth'],
        ['slurm_train.sh', 'gpu', 'name'],
        ['slurm_experiment.sh', 'gpu', '4', '--preset', 'small'],
    ],
)
def test_a_script_without_its_arguments_says_which_it_takes(command):
    name, *arguments = command
    done = subprocess.run(
        ['bash', ROOT / 'tools' / name, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(f'Usage: tools/{name} ')
    assert done.stderr.count('\n') == 1
