"""Runs the command-line tools on the small configs."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from small_run import OPTIONS

from bissl_mm import command_line


def environment(image_folders) -> dict:
    return {
        **os.environ,
        'BISSL_PRETEXT_DIR': str(image_folders / 'pretext'),
        'BISSL_DOWNSTREAM_DIR': str(image_folders / 'downstream'),
        'BISSL_NUM_CLASSES': '3',
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': f'{ROOT / "tests"}:{ROOT}',
        'PATH': os.path.dirname(sys.executable) + ':' + os.environ['PATH'],
    }


def options(**changes) -> list:
    merged = {
        **OPTIONS,
        'train_cfg.num_alternations': 3,
        **{k.replace('__', '.'): v for k, v in changes.items()},
    }
    return ['--cfg-options', *(f'{k}={v}' for k, v in merged.items())]


def run(command, image_folders, check=True):
    result = subprocess.run(
        [str(c) for c in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(image_folders),
        timeout=240,
    )
    if check:
        assert result.returncode == 0, result.stderr[-3000:]
    return result


def state(path):
    return torch.load(path, weights_only=False)['state_dict']


def assert_same_weights(first, second):
    first, second = state(first), state(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def call(name, *arguments):
    """A tool's main function, in this process."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    command_line.run_tool(lambda _: module.main([str(a) for a in arguments]))


@pytest.fixture(scope='module')
def tool(image_folders):
    """Calls a tool's main function with arguments."""
    threads = torch.get_num_threads()
    # The same as in separate processes, so that results are equal bit for bit.
    torch.set_num_threads(1)

    def leave(status):
        raise SystemExit(status)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(image_folders).items():
            patch.setenv(name, value)
        patch.setenv('LOCAL_RANK', '0')
        patch.setattr(command_line, 'end_process', leave)
        yield call
    torch.set_num_threads(threads)
