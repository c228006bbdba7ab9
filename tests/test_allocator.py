"""Freed memory is kept for the next allocation."""

import subprocess
import sys

import pytest

#: How often memory came back from the system, before and after.
CODE = """
import resource, torch
from bissl_mm.utils.allocator import keep_freed_memory
def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(12):
        torch.ones(48, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
touch()
left = touch()
is_kept = keep_freed_memory()
touch()
print(left, touch() if is_kept else -1)
"""


def test_keep_freed_memory():
    result = subprocess.run(
        [sys.executable, '-c', CODE], check=True, capture_output=True, text=True
    )
    returned, kept = map(int, result.stdout.split())
    if kept < 0:
        pytest.skip('not glibc')
    # 12 blocks of 192 MiB: with pages of 4 KiB or of 2 MiB.
    assert returned >= 12 * 90 and kept < returned / 10
