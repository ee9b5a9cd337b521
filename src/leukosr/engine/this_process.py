"""The identity of this process, by which others can tell whether it has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def this_host() -> str:
    """This machine and its PID namespace (containers have their own)."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def this_process() -> list[Any]:
    """Host, PID and start time, which identify this process even if its PID is used again."""
    return [this_host(), os.getpid(), _birth(os.getpid())]


def is_first() -> bool:
    """Whether this is the first of the processes that one launcher started together, or the only one."""
    return not any(os.environ.get(name, "0") not in ("", "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def has_ended(process: Sequence[Any]) -> bool:
    """Whether a process, as `this_process` named it, ran on this host and has ended; False for those of others."""
    host, number, born = process
    if host != this_host():
        return False
    try:
        return bool(_birth(number) != born)
    except psutil.NoSuchProcess:
        return True


def _birth(number: int) -> str | float:
    """When a process began, in a form that no change of the clock alters where the system has one.

    Linux counts clock ticks since its start, which has an id. Elsewhere it is the time of day.
    Raises psutil.NoSuchProcess.
    """
    start, boot = Path(f"/proc/{number}/stat"), Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return float(psutil.Process(number).create_time())
    try:
        # the name, second of the fields, may hold blanks and brackets
        ticks = start.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(number) from None
    return f"{boot.read_text(encoding='utf-8').strip()} {ticks}"
