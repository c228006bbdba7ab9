"""What a GPU does with this package: one command for whoever has one.

Needs torch with CUDA, torchvision and the packages that ``collect_wheels.py``
names; no data and no network::

    python benchmarks/gpu.py --json gpu.json

Every part runs in a process of its own. A part that fails, runs out of memory or
hangs is recorded with its traceback, and the others go on. Parts that time nothing
run at the same time if there are cores enough. The record is written after every
row. The exit status is 1 if a part failed or was cut.
"""

import argparse
import importlib
import json
import logging
import os
import platform
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The parts share modules with the other benchmarks and with the tests.
for folder in (HERE.parent, HERE.parent / 'tests', HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from gpu_kit.forks import Say, run_forked  # noqa: E402
from gpu_kit.record import plain, show, table  # noqa: E402

#: Set where a look for devices from this process would break CUDA in its forks:
#: then every part imports the libraries for itself.
LATE = 'BISSL_KIT_LATE_IMPORT'
#: A part may take this many times as long without a GPU, on a busy machine too.
SLOWER = 6
#: Cores of the host from which on the parts that time nothing run together.
CORES = 8
#: Name -> module of gpu_kit, function, and seconds that the part may take at
#: most; in the order of their worth. The first ones time nothing.
TOGETHER = {
    'oracle': ('runs', 'oracle', 120),
    'waits': ('steps', 'waits', 90),
    'resume': ('runs', 'resume', 90),
    'deterministic': ('runs', 'deterministic', 90),
    'input': ('pipeline', 'pipeline', 60),
    'dry-run': ('dry', 'dry_run', 120),
}
ALONE = {
    'memory': ('steps', 'memory', 90),
    'precision': ('precision', 'precision', 60),
    'upper-resnet50': ('races', 'upper_resnet50', 120),
    'upper-vit-s': ('races', 'upper_vit', 120),
    'alternation-resnet50': ('races', 'alternation_resnet50', 150),
    'alternation-vit-s': ('races', 'alternation_vit', 120),
    'batches': ('steps', 'batches', 90),
    'upper-switches': ('races', 'upper_switches', 90),
    'upper-resnet18': ('races', 'upper_resnet18', 90),
}
PARTS = TOGETHER | ALONE


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument(
        '--quick', action='store_true', help='tiny sizes; the figures mean nothing'
    )
    parser.add_argument('--json', help='the record')
    parser.add_argument(
        '--minutes',
        type=float,
        default=8.0,
        help='of the whole; what has no time left is left out. Below 8, the phases of '
        'the races have half the steps',
    )
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=list(PARTS),
        default=list(PARTS),
        metavar='PART',
        help=', '.join(PARTS),
    )
    parser.add_argument('--show', metavar='RECORD', help='only print its table')
    parser.add_argument(
        '--one-process',
        action='store_true',
        help='no part has a process of its own, and none is cut',
    )
    return parser.parse_args(argv)


def machine(device: str) -> dict:
    """What the figures belong to."""
    import torch

    found = dict(
        device=device,
        python=platform.python_version(),
        torch=torch.__version__,
        cores=os.cpu_count(),
        processor=platform.processor() or platform.machine(),
        date=time.strftime('%Y-%m-%d'),
    )
    if device == 'cuda':
        # Asked in another process: this one must not touch the card, because the
        # parts are its forks.
        said: list[dict] = []
        state = run_forked(dict(card=(_card, 60, said.append)))['card']
        if 'forked subprocess' in state.get('traceback', '') and LATE not in os.environ:
            environment = os.environ | {LATE: '1'}
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)
        if not said:
            sys.exit(
                'No CUDA device can be used; --device cpu needs none.\n'
                f'{state.get("traceback", state)}'
            )
        found |= said[0]
    return found


def _card(say: Say) -> None:
    import torch

    properties = torch.cuda.get_device_properties(0)
    say(
        dict(
            gpu=properties.name,
            gpu_memory=properties.total_memory,
            multiprocessors=properties.multi_processor_count,
            driver=_driver(),
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
        )
    )


def _driver() -> str | None:
    import subprocess

    try:
        return subprocess.run(
            ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'],
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def run_here(work: Callable[[Say], None], say: Say) -> dict:
    begin = time.monotonic()
    state = dict(status='done')
    try:
        work(say)
    except Exception:
        state = dict(status='failed', traceback=traceback.format_exc())
    return state | dict(seconds=time.monotonic() - begin)


def prepare() -> None:
    """Import what the parts use. Once before the forks, if that can be."""
    for module in {module for module, _, _ in PARTS.values()}:
        importlib.import_module(f'gpu_kit.{module}')
    from mmengine.logging import MMLogger

    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)


def work_of(name: str, args: argparse.Namespace) -> Callable[[Say], None]:
    """A part as a function of who gets its rows."""
    module, function, _ = PARTS[name]

    def work(say: Say) -> None:
        prepare()
        part = importlib.import_module(f'gpu_kit.{module}')
        getattr(part, function)(args, say)

    return work


def groups(args: argparse.Namespace) -> list[list[str]]:
    """The parts in their order; those of one group run at the same time."""
    if args.one_process or (os.cpu_count() or 1) < CORES:
        return [[name] for name in args.parts]
    found: list[list[str]] = []
    for name in args.parts:
        if found and name in TOGETHER and found[-1][0] in TOGETHER:
            found[-1].append(name)
        else:
            found.append([name])
    return found


def run_groups(
    args: argparse.Namespace,
    parts: dict[str, dict],
    started: float,
    save: Callable[[], None],
) -> None:
    """All parts. ``parts`` gets their rows and states, and is saved after each."""

    def ended(name: str, state: dict) -> None:
        parts[name] |= state
        print(f'{name}: {state["status"]} in {state["seconds"]:.1f} s', flush=True)
        if 'traceback' in state:
            print(state['traceback'], flush=True)
        save()

    for group in groups(args):
        works = {}
        left = 60 * args.minutes - (time.monotonic() - started)
        for name in group:
            rows: list[dict] = []
            parts[name] = dict(status='begun', rows=rows, seconds=0.0)

            def say(row: dict, rows=rows) -> None:
                rows.append(row)
                save()

            most = PARTS[name][2] * (SLOWER if args.device == 'cpu' else 1)
            works[name] = (work_of(name, args), min(most, left), say)
        if args.one_process:
            for name, (work, _, say) in works.items():
                ended(name, run_here(work, say))
        elif left < 5:
            for name in group:
                ended(name, dict(status='left out', seconds=0.0))
        else:
            run_forked(works, ended)
    if 'memory' in parts and 'dry-run' in parts:
        from gpu_kit.dry import beside

        parts['memory']['rows'] += beside(parts)
        save()


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.show:
        print(table(json.loads(Path(args.show).read_text())))
        return 0
    started = time.monotonic()
    if args.device == 'cpu' and not args.one_process:
        # Before torch looks: what finds out the device by itself takes the CPU.
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    # A look for devices then leaves CUDA alone, so that forks can use it.
    os.environ.setdefault('PYTORCH_NVML_BASED_CUDA_CHECK', '1')
    warnings.simplefilter('ignore')
    if args.one_process or LATE not in os.environ:
        prepare()
    record: dict = dict(machine=machine(args.device), arguments=vars(args), parts={})
    print(show(record['machine']), flush=True)

    def save() -> None:
        record['seconds'] = time.monotonic() - started
        if args.json:
            text = json.dumps(plain(record), indent=1, default=str)
            Path(args.json).write_text(text + '\n')

    if not args.one_process:
        # What ends this process ends the parts, too, and leaves a table.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        run_groups(args, record['parts'], started, save)
    finally:
        print(table(record))
    bad = [n for n, p in record['parts'].items() if p['status'] in ('failed', 'cut')]
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
