"""Hostile checkpoints through every load path and scheme: nothing may run.

The files are those of ``tests/hostile_files.py``; addresses are served on the
loopback address, and the names of the model zoos lead there. First all kinds
go through the loaders by every scheme, then kind after kind through the
tools. Results are appended to ``--json``, one line each; what is there
already is not repeated::

    python benchmarks/hostile_checkpoints.py --json hostile.jsonl
"""

import argparse
import contextlib
import functools
import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')]

import hostile_files  # noqa: E402
import hostile_paths  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.fileio import backends  # noqa: E402
from mmengine.runner import checkpoint as mmengine_checkpoint  # noqa: E402
from mmengine.runner.checkpoint import CheckpointLoader  # noqa: E402
from mmengine.visualization import Visualizer  # noqa: E402
from small_run import CLASSES, make_folders  # noqa: E402

from bissl_mm.utils.checkpoint import load_checkpoint, use_safe_loading  # noqa: E402
from bissl_mm.utils.errors import Refusal  # noqa: E402

SCHEMES = (
    'file',
    'http',
    'torchvision',
    'modelzoo',
    'open-mmlab',
    'openmmlab',
    'mmcls',
    's3',
    'petrel',
)
KINDS = {**hostile_files.EXECUTING, **hostile_files.OTHER}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kinds', nargs='+', default=list(KINDS))
    parser.add_argument(
        '--seconds',
        type=float,
        default=float('inf'),
        help='begin nothing new after this time',
    )
    parser.add_argument('--json')
    return parser.parse_args()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, to which the schemes lead as well."""
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f'http://127.0.0.1:{server.server_port}'

    def table() -> dict[str, str]:
        return dict(file=f'{address}/file.pth')

    for name in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        setattr(mmengine_checkpoint, name, table)

    class FromFolder(backends.LocalBackend):
        def get(self, filepath: str) -> bytes:
            return (folder / Path(filepath).name).read_bytes()

    backends.register_backend('petrel', FromFolder, force=True)
    yield address
    server.shutdown()


def source_of(scheme: str, file: Path, address: str) -> str:
    return dict(
        file=str(file),
        http=f'{address}/file.pth',
        s3='s3://bucket/file.pth',
        petrel='petrel://bucket/file.pth',
    ).get(scheme, f'{scheme}://file')


def attempt(
    load: Callable[[str, Path], None], source: str, folder: Path, marker: Path
) -> dict[str, object]:
    """What came of a load."""
    work = folder / 'work'
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.rmtree(folder / 'hub', ignore_errors=True)
    marker.unlink(missing_ok=True)
    # One of a run in the same second would write to that run's folder.
    Visualizer._instance_dict.clear()
    try:
        with (
            open(os.devnull, 'w') as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(nothing),
        ):
            load(source, work)
        outcome = 'ended'
    except Refusal as error:
        outcome = f'refused: {error}'.replace(str(folder), '')[:160]
    except (Exception, SystemExit) as error:
        outcome = f'{type(error).__name__}: {error}'.replace(str(folder), '')[:160]
    return dict(executed=marker.exists(), outcome=outcome)


def cases(kinds: list[str]) -> Iterator[tuple]:
    for path, load in (
        ('load_checkpoint', load_checkpoint),
        ("mmengine's loader", CheckpointLoader.load_checkpoint),
    ):
        for scheme in SCHEMES:
            for kind in kinds:
                yield path, scheme, kind, lambda s, work, f=load: f(s)
    paths = hostile_paths.tool_paths()
    # Every path once before the schemes take their time.
    for schemes in (SCHEMES[:1], SCHEMES[1:]):
        for kind in kinds:
            for path, (takes_addresses, load) in paths.items():
                for scheme in schemes:
                    if takes_addresses or scheme == 'file':
                        yield path, scheme, kind, load


def main() -> None:
    args = parse_args()
    begin = time.time()
    folder = Path(tempfile.mkdtemp())
    make_folders(folder / 'data')
    os.environ.update(
        BISSL_PRETEXT_DIR=str(folder / 'data/pretext'),
        BISSL_DOWNSTREAM_DIR=str(folder / 'data/downstream'),
        BISSL_NUM_CLASSES=str(len(CLASSES)),
    )
    torch.hub.set_dir(str(folder / 'hub'))
    hostile_files.register_extension()
    use_safe_loading()
    # Formatting configs is most of an attempt's time, and no matter here.
    Config.pretty_text = property(lambda self: repr(self.to_dict()))
    store = Path(args.json or folder / 'results.jsonl')
    records = (
        [json.loads(line) for line in store.read_text().splitlines()]
        if store.exists()
        else []
    )
    done = {(r['path'], r['scheme'], r['kind']) for r in records}
    marker, file = folder / 'marker', folder / 'served' / 'file.pth'
    file.parent.mkdir()
    with served(file.parent) as address, store.open('a') as out:
        for path, scheme, kind, load in cases(args.kinds):
            if (path, scheme, kind) in done:
                continue
            if time.time() - begin > args.seconds:
                print('The time is up; the same command goes on.')
                break
            file.write_bytes(KINDS[kind](hostile_files.marking(marker)))
            record = dict(
                path=path,
                scheme=scheme,
                kind=kind,
                **attempt(load, source_of(scheme, file, address), folder, marker),
            )
            records.append(record)
            out.write(json.dumps(record) + '\n')
            out.flush()
    shutil.rmtree(folder)
    executed = [r for r in records if r['executed']]
    ended = [r for r in records if r['outcome'] == 'ended']
    print(
        f'{len(records)} loads of {len({r["kind"] for r in records})} kinds '
        f'through {len({(r["path"], r["scheme"]) for r in records})} paths '
        f'and schemes: {len(executed)} executed, {len(ended)} loaded'
    )
    for record in executed + ended:
        print(json.dumps(record))


if __name__ == '__main__':
    main()
