"""Killing a process at a chosen moment of its work: it is a fork of this one, so nothing is imported anew."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

FILE_SYSTEM = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.scandir", "os.listdir",
                         "os.truncate", "shutil.rmtree"})  # fmt: skip


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Kill a fork just before the `step`-th thing (from 1) that `action` asks of the file system.

    Returns False where the action was done before.
    """
    left = step

    def strike(event: str, _: object) -> None:
        nonlocal left
        if event in FILE_SYSTEM:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        sys.addaudithook(strike)
        action()

    return _ended_by_kill(forked(work))


def steps_of(action: Callable[[], object]) -> int:
    """How often `action`, in a fork, asks something of the file system."""
    reading, writing = os.pipe()

    def work() -> None:
        asked: list[str] = []
        sys.addaudithook(lambda event, _: asked.append(event) if event in FILE_SYSTEM else None)
        action()
        os.write(writing, str(len(asked)).encode())

    pid = forked(work)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def killed_after(seconds: float, action: Callable[[], object]) -> bool:
    """Kill a fork that does `action` after some time; False where it was done before."""
    pid = forked(action)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)  # it cannot be another process: this one has not waited for it yet
    return _ended_by_kill(pid)


def forked(action: Callable[[], object]) -> int:
    """Do `action` in a fork, which ends with it whatever happens; the fork's number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        action()
    finally:
        os._exit(0)  # nothing of pytest's may run here


def _ended_by_kill(pid: int) -> bool:
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
