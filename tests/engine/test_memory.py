"""Freed memory is used again, and not asked of the kernel anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from leukosr.engine.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("cannot")
torch.set_num_threads(1)
for _ in range(4):
    (torch.zeros(16, 2**20) + 1).sum()  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):
    (torch.zeros(16, 2**20) + 1).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_tensors_take_the_pages_of_those_before() -> None:
    faults = {}
    for case in ("given back", "kept"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, case], capture_output=True, text=True, check=False)
        if done.stderr == "cannot\n":
            pytest.skip("this glibc keeps no tensors of 64 MiB")
        assert done.returncode == 0, done.stderr
        faults[case] = int(done.stdout)
    assert faults["kept"] < faults["given back"] / 5, faults


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from leukosr.engine import memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert memory.keep_freed_memory() is False
