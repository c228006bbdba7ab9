"""What a GPU does with this package: one command for whoever has one.

Needs torch with CUDA, torchvision and the packages that ``collect_wheels.py``
names; no data and no network::

    python benchmarks/gpu.py --json gpu.json

Every part runs in a process of its own. A part that fails, runs out of memory or
hangs is recorded with its traceback, and the others go on. The record is written
after every row. The exit status is 1 if a part failed or was cut.
"""

import argparse
import importlib
import json
import logging
import math
import multiprocessing
import os
import platform
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
#: Set where a look for devices from this process would break CUDA in its forks:
#: then every part imports the libraries for itself.
LATE = 'BISSL_KIT_LATE_IMPORT'
#: Minutes of a whole run; the parts' shares are for this many.
MINUTES = 8.0
#: Name -> module of gpu_kit, function, and seconds that the part may take at
#: most; in the order of their worth.
PARTS = {
    'oracle': ('runs', 'oracle', 75),
    'waits': ('steps', 'waits', 45),
    'memory': ('steps', 'memory', 45),
    'upper-resnet50': ('races', 'upper_resnet50', 90),
    'upper-vit-s': ('races', 'upper_vit', 75),
    'alternation': ('races', 'alternation', 90),
    'precision': ('precision', 'precision', 40),
    'resume': ('runs', 'resume', 45),
    'batches': ('steps', 'batches', 60),
    'input': ('pipeline', 'pipeline', 30),
    'deterministic': ('runs', 'deterministic', 45),
    'upper-resnet18': ('races', 'upper_resnet18', 45),
}


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
        default=MINUTES,
        help='of the whole; later parts are left out',
    )
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=list(PARTS),
        default=list(PARTS),
        metavar='PART',
        help=', '.join(PARTS),
    )
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
        state = run_forked(_card, 60, said.append)
        if 'forked subprocess' in state.get('traceback', '') and LATE not in os.environ:
            os.execve(
                sys.executable, [sys.executable, *sys.argv], os.environ | {LATE: '1'}
            )
        if not said:
            sys.exit(
                f'No CUDA device can be used; --device cpu needs none.\n'
                f'{state.get("traceback", state)}'
            )
        found |= said[0]
    return found


def _card(say: Callable[[dict], None]) -> None:
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


def _child(pipe, work: Callable) -> None:
    try:
        work(lambda row: pipe.send(('row', row)))
        pipe.send(('end', dict(status='done')))
    except BaseException:
        pipe.send(('end', dict(status='failed', traceback=traceback.format_exc())))
    finally:
        sys.stdout.flush()
        # Without a look back: a broken CUDA context may hang in its destructors.
        os._exit(0)


def run_forked(work: Callable, seconds: float, say: Callable[[dict], None]) -> dict:
    """``work(say)`` in a fork, for some seconds at most."""
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, work))
    sys.stdout.flush()
    process.start()
    theirs.close()
    end = time.monotonic() + seconds
    try:
        while ours.poll(max(end - time.monotonic(), 0)):
            kind, what = ours.recv()
            if kind == 'end':
                return what
            say(what)
        return dict(status='cut', after=seconds)
    except EOFError:
        process.join(10)
        return dict(status='failed', traceback=f'ended with {process.exitcode}')
    finally:
        process.kill()
        process.join()


def run_here(work: Callable, say: Callable[[dict], None]) -> dict:
    try:
        work(say)
        return dict(status='done')
    except Exception:
        return dict(status='failed', traceback=traceback.format_exc())


def prepare() -> None:
    """Import what the parts use. Once before the forks, if that can be."""
    for module in {module for module, _, _ in PARTS.values()}:
        importlib.import_module(f'gpu_kit.{module}')
    from mmengine.logging import MMLogger

    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)


def run_part(name: str, args: argparse.Namespace, left: float, say: Callable) -> dict:
    """One part with its state: done, failed, cut or left out."""
    module, function, share = PARTS[name]

    def work(say_row: Callable[[dict], None]) -> None:
        prepare()
        part = importlib.import_module(f'gpu_kit.{module}')
        getattr(part, function)(args, say_row)

    if args.one_process:
        return run_here(work, say)
    seconds = min(share * args.minutes / MINUTES, left)
    if seconds < 5:
        return dict(status='left out')
    return run_forked(work, seconds, say)


def show(value) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, dict):
        return '{' + ', '.join(f'{k} {show(v)}' for k, v in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(map(show, value)) + ']'
    return str(value)


def plain(value):
    """As JSON takes it: no NaN, no infinity."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(record: dict) -> str:
    """All rows, a line each, for people."""
    lines = ['| part | row | figures |', '| --- | --- | --- |']
    for name, part in record['parts'].items():
        for row in part['rows']:
            figures = ', '.join(
                f'{k} {show(v)}'
                for k, v in row.items()
                if k not in ('row', 'details') and v is not None
            )
            lines.append(f'| {name} | {row["row"]} | {figures} |')
        text = f'**{part["status"]}**'
        if 'traceback' in part:
            text += ': ' + part['traceback'].strip().splitlines()[-1]
        lines.append(f'| {name} | {part["seconds"]:.0f} s | {text} |')
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
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

    for name in args.parts:
        part: dict = dict(status='begun', rows=[], seconds=0.0)
        record['parts'][name] = part
        begin = time.monotonic()

        def say(row: dict, part=part, begin=begin) -> None:
            part['rows'].append(row)
            part['seconds'] = time.monotonic() - begin
            save()

        left = 60 * args.minutes - (begin - started)
        part |= run_part(name, args, left, say)
        part['seconds'] = time.monotonic() - begin
        print(f'{name}: {part["status"]} in {part["seconds"]:.1f} s', flush=True)
        if 'traceback' in part:
            print(part['traceback'], flush=True)
        save()
    print(table(record))
    bad = [n for n, p in record['parts'].items() if p['status'] in ('failed', 'cut')]
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
