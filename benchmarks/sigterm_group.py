"""SIGTERM to the whole process group of runs whose loaders have workers.

A small run of the bilevel stage is trained to its end once; others get the
signal a random time after their first steps, with one process in a group of
its own or through ``tools/dist_train.sh`` with two, and are resumed. Their
weights and optimizers must be those of the run without interruption, bit for
bit. Prints one line of JSON per run, and appends it to ``--json``; runs that
are there already are not repeated. To save time runs of one process, and all
that are resumed, are forked from this one, which has the libraries loaded::

    python benchmarks/sigterm_group.py --runs 10 --json sigterm_group.jsonl
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')]

import torch  # noqa: E402
import train as train_tool  # noqa: E402
from small_run import CLASSES, CONFIG, OPTIONS, make_folders  # noqa: E402

import bissl_mm.engine.launch  # noqa: E402
import bissl_mm.models  # noqa: E402,F401
from bissl_mm.command_line import run_tool  # noqa: E402
from bissl_mm.utils.checkpoint import load_checkpoint  # noqa: E402

#: What the small run of the tests leaves to the caller.
CHANGES = {
    'train_dataloader.num_workers': 2,
    'train_cfg.pretext_dataloader.num_workers': 2,
    'val_dataloader.num_workers': 1,
    'val_dataloader.persistent_workers': True,
    # No checkpoint before the signal.
    'default_hooks.checkpoint.interval': 100,
    'default_hooks.checkpoint.step_interval': None,
    'train_cfg.num_alternations': 5,
    'log_level': 'INFO',
}
FIRST_STEPS = 'Iter(train) [1/'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--runs', type=int, default=10, help='of each number of processes'
    )
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument(
        '--after', type=float, default=2.0, help='most seconds after the first steps'
    )
    parser.add_argument('--folder', help='default: a temporary one')
    parser.add_argument('--json')
    return parser.parse_args()


def arguments(work_dir: Path) -> list[str]:
    options = {**OPTIONS, **CHANGES}
    return [
        '--work-dir',
        str(work_dir),
        '--cfg-options',
        *(f'{key}={value}' for key, value in options.items()),
    ]


def environment(data: Path) -> dict[str, str]:
    return {
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        'PATH': os.path.dirname(sys.executable) + ':' + os.environ['PATH'],
        'BISSL_PRETEXT_DIR': str(data / 'pretext'),
        'BISSL_DOWNSTREAM_DIR': str(data / 'downstream'),
        'BISSL_NUM_CLASSES': str(len(CLASSES)),
    }


def forked(given: list[str], variables: dict[str, str]) -> tuple[int, TextIO]:
    """train.py in a child with a group of its own; its id and its output."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, os.fdopen(ours)
    status = 1
    try:
        os.setsid()
        os.chdir(ROOT)
        os.environ.update(variables)
        os.close(ours)
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        run_tool(lambda _: train_tool.main([str(CONFIG), *given]))
        status = 0
    except SystemExit as error:
        status = error.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train(processes: int, work_dir: Path, data: Path, *more: str) -> None:
    """To the end, without interruption."""
    given = [*arguments(work_dir), *more]
    ranks: list[dict[str, str]] = [{}]
    if processes > 1:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        given = ['--launcher', 'pytorch', *given]
        ranks = [
            dict(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(processes),
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=str(port),
            )
            for rank in range(processes)
        ]
    children = [forked(given, {**environment(data), **rank}) for rank in ranks]
    output = [file.read() for _, file in children]
    # Of every child, also after one that failed.
    endings = [end_of(pid) for pid, _ in children]
    if any(endings):
        raise RuntimeError('\n'.join(output)[-3000:])


def interrupt(
    processes: int, work_dir: Path, data: Path, delay: float
) -> dict[str, Any]:
    """Send the signal; what the process did."""
    given = arguments(work_dir)
    if processes == 1:
        pid, output = forked(given, environment(data))
    else:
        process = subprocess.Popen(
            ['bash', 'tools/dist_train.sh', CONFIG, str(processes), *given],
            cwd=ROOT,
            env={**os.environ, **environment(data)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        pid, output = process.pid, process.stdout
    lines = []
    for line in output:
        lines.append(line)
        if FIRST_STEPS in line:
            break
    time.sleep(delay)
    os.killpg(pid, signal.SIGTERM)
    begin = time.time()
    lines.append(output.read())
    status = end_of(pid) if processes == 1 else process.wait()
    found = sorted(p.name for p in work_dir.glob('iter_*.pth'))
    return dict(
        exit=status,
        seconds=time.time() - begin,
        checkpoints=found,
        tail=[] if found else ''.join(lines).splitlines()[-8:],
    )


def same(first: Any, second: Any) -> bool:
    """Whether two nested structures hold equal values, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def last_state(work_dir: Path) -> dict[str, Any]:
    last = CHANGES['train_cfg.num_alternations']
    checkpoint = load_checkpoint(str(work_dir / f'iter_{last}.pth'))
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer')}


def run(processes: int, number: int, folder: Path, after: float) -> dict[str, Any]:
    data, whole = folder / 'data', folder / f'whole{processes}'
    if not data.exists():
        make_folders(data)
    if not (whole / 'backbone.pth').exists():
        train(processes, whole, data)
    work_dir = folder / 'interrupted'
    shutil.rmtree(work_dir, ignore_errors=True)
    delay = random.Random(f'{processes}/{number}').uniform(0, after)
    record = dict(
        processes=processes,
        run=number,
        delay=delay,
        **interrupt(processes, work_dir, data, delay),
    )
    record['saved'] = bool(record['checkpoints'])
    if record['saved']:
        train(processes, work_dir, data, '--resume')
        record['identical'] = same(last_state(whole), last_state(work_dir))
    return record


def main() -> None:
    args = parse_args()
    folder = Path(args.folder or tempfile.mkdtemp())
    path = Path(args.json) if args.json else None
    records = []
    if path and path.exists():
        records = [json.loads(line) for line in path.read_text().splitlines()]
    done = {(record['processes'], record['run']) for record in records}
    for processes in args.processes:
        for number in range(args.runs):
            if (processes, number) in done:
                continue
            records.append(run(processes, number, folder, args.after))
            line = json.dumps(records[-1])
            print(line, flush=True)
            if path:
                with path.open('a') as file:
                    file.write(line + '\n')
    for processes in args.processes:
        mine = [r for r in records if r['processes'] == processes]
        print(
            f'{processes} process(es): {len(mine)} runs, '
            f'{sum(r["saved"] for r in mine)} saved, '
            f'{sum(r.get("identical", False) for r in mine)} resumed bit '
            'for bit',
            flush=True,
        )


if __name__ == '__main__':
    main()
