"""The oracle tests on the device, and a small stage that is resumed."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
TESTS = ('tests/test_gpu', 'tests/test_conformance.py')
Say = Callable[[dict], None]


def oracle(args: argparse.Namespace, say: Say) -> None:
    """Tests of products, solvers and hypergradients on the device.

    Raises:
        RuntimeError: If a test fails, or if none ran.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider']
            + ['--basetemp', f'{folder}/tests', '-k', args.device, '-rs', *TESTS],
            cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            capture_output=True,
            text=True,
        )
    text = done.stdout + done.stderr
    counts = {
        word: int(number)
        for number, word in re.findall(r'(\d+) (passed|failed|skipped|error)', text)
    }
    say(dict(row='tests', **counts))
    if done.returncode:
        raise RuntimeError(f'pytest ended with {done.returncode}:\n{text[-6000:]}')


def resume(args: argparse.Namespace, say: Say) -> None:
    """Runs of a small stage: twice, and stopped within an upper phase."""
    _compare(args, say)


def deterministic(args: argparse.Namespace, say: Say) -> None:
    """The same with torch's deterministic kernels."""
    # Read when cuBLAS is first used.
    os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            _compare(args, say)
    finally:
        torch.use_deterministic_algorithms(before)
    kinds = {str(w.message).split('(Triggered')[0][:160] for w in caught}
    say(
        dict(
            row='without a deterministic kernel',
            kernels=sorted(k for k in kinds if 'deterministic' in k),
        )
    )


def _compare(args: argparse.Namespace, say: Say) -> None:
    import small_run

    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        small_run.make_folders(folder)
        whole = _stage(folder, 'whole')
        say(dict(row='run again', **_difference(_stage(folder, 'again'), whole)))
        _stage(folder, 'parts', stop=2)
        resumed = _stage(folder, 'parts', resumed=True)
    say(dict(row='stopped within an upper phase', **_difference(resumed, whole)))


class _Environment:
    """In place of pytest's: what is set stays."""

    @staticmethod
    def setenv(name: str, value: str) -> None:
        os.environ[name] = value


def _stage(
    folder: Path, name: str, stop: int | None = None, resumed: bool = False
) -> dict:
    """The weights of a run; it is stopped after its ``stop``-th upper step."""
    import small_run
    from mmengine.hooks import Hook

    class Stop(Hook):
        priority = 'VERY_HIGH'
        left = stop or 0

        def after_upper_step(self, runner, **kwargs) -> None:
            self.left -= 1
            if self.left == 0:
                runner.train_loop.request_stop(15)

    cfg = small_run.small_config(
        _Environment,
        folder,
        folder / name,
        train_cfg__num_alternations=2,
        train_cfg__num_upper_steps=3,
        optim_wrapper__hypergradient__solver=dict(type='RecyclingSolver', max_iters=2),
    )
    cfg.resume = resumed
    os.environ['BISSL_LOOK'] = '0'
    runner = small_run.make_runner(cfg, [Stop()])
    try:
        runner.train()
    except SystemExit:
        if stop is None:
            raise
    return small_run.weights(runner)


def _difference(a: dict, b: dict) -> dict:
    largest = max(
        ((a[k].double() - b[k].double()).abs().max() / (b[k].double().abs().max()))
        .nan_to_num()
        .item()
        for k in b
    )
    return dict(
        equal=all(torch.equal(a[k], b[k]) for k in b),
        largest_relative_difference=largest,
    )
