"""This process as others know it, also those that look for it after its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil


def this_host() -> str:
    """This machine, and which of its process numberings (containers have their own)."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def this_process() -> list[Any]:
    """Host, number and start time: what tells this process from others, also from a later one of the same number."""
    return [this_host(), os.getpid(), psutil.Process().create_time()]


def has_ended(process: Sequence[Any]) -> bool:
    """Whether a process, as `this_process` named it, ran on this host and has ended; False for those of others."""
    host, number, born = process
    if host != this_host():
        return False
    try:
        return abs(psutil.Process(number).create_time() - born) > 1
    except psutil.NoSuchProcess:
        return True
