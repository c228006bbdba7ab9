"""Freed memory is kept for the next allocation."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from bissl_mm.utils.allocator import keep_freed_memory
if sys.argv[1] == 'keep' and not keep_freed_memory():
    print(-1)
    sys.exit()
def touch():
    for _ in range(12):
        torch.ones(48, 2**20)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
before = faults()
touch()
print(faults() - before)
"""


def page_faults(how):
    result = subprocess.run(
        [sys.executable, '-c', CODE, how], check=True, capture_output=True, text=True
    )
    return int(result.stdout)


def test_keep_freed_memory():
    kept = page_faults('keep')
    if kept < 0:
        pytest.skip('not glibc')
    returned = page_faults('leave')
    # 12 blocks of 192 MiB: with pages of 4 KiB or of 2 MiB.
    assert returned >= 12 * 90 and kept < returned / 10
