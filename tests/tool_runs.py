"""The command lines over the small configs."""

import os
import subprocess
import sys

import torch
from conftest import ROOT
from small_run import OPTIONS


def environment(image_folders) -> dict:
    return {**os.environ, 'BISSL_PRETEXT_DIR': str(image_folders / 'pretext'),
            'BISSL_DOWNSTREAM_DIR': str(image_folders / 'downstream'),
            'BISSL_NUM_CLASSES': '3', 'OMP_NUM_THREADS': '1',
            'PYTHONPATH': str(ROOT / 'tests'),
            'PATH': os.path.dirname(sys.executable) + ':' +
            os.environ['PATH']}


def options(**changes) -> list:
    merged = {**OPTIONS, 'train_cfg.num_alternations': 3,
              **{k.replace('__', '.'): v for k, v in changes.items()}}
    return ['--cfg-options', *(f'{k}={v}' for k, v in merged.items())]


def run(command, image_folders, check=True):
    result = subprocess.run(
        [str(c) for c in command], cwd=ROOT, capture_output=True, text=True,
        env=environment(image_folders), timeout=240)
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
