"""Processes are known by their start, also where the clock is set meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from leukosr.engine import this_process as module
from leukosr.engine.this_process import has_ended, this_host, this_process

LINUX = Path("/proc/sys/kernel/random/boot_id").exists()


def test_this_process_has_not_ended() -> None:
    assert not has_ended(this_process())


def test_a_process_that_is_gone_has_ended_and_one_of_another_host_is_never_said_to_have() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = [this_host(), process.pid, module._birth(process.pid)]
    assert not has_ended(known)
    process.kill()
    process.wait()
    assert has_ended(known)
    assert not has_ended(["another host", *known[1:]])


def test_a_later_process_of_the_same_number_is_another() -> None:
    host, number, _ = this_process()
    assert has_ended([host, number, "an earlier start"])


@pytest.mark.skipif(not LINUX, reason="the start is counted in ticks on Linux only")
def test_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = this_process()

    def moved(self: psutil.Process) -> float:
        raise AssertionError("the time of day was asked for")

    monkeypatch.setattr(psutil.Process, "create_time", moved)
    assert not has_ended(known)
    assert this_process() == known


def test_without_linux_the_time_of_day_tells_processes_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert this_process()[2] == psutil.Process(os.getpid()).create_time()
    assert not has_ended(this_process())
