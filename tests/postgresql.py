"""A PostgreSQL server for tests, as whoever runs them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def binary(name: str) -> str | None:
    """A program of PostgreSQL, from the path or from where Debian puts it."""
    places = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))]
    return next((place for place in places if place), None)


def as_somebody(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of an empty database on a server of its own; skips the test where PostgreSQL is not installed."""
    initdb, pg_ctl = binary("initdb"), binary("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="leukosr-pg-"))  # readable for postgres, unlike pytest's folders
    port = free_port()
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data, options = str(folder / "data"), f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        for command in (
            [initdb, "-D", data, "-A", "trust", "-U", "leukosr"],
            [pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start"],
        ):
            subprocess.run(as_somebody(command), check=True, stdout=subprocess.DEVNULL, cwd="/")
        try:
            yield f"postgresql://leukosr@127.0.0.1:{port}/postgres"
        finally:
            stop = as_somebody([pg_ctl, "-D", data, "-m", "immediate", "stop"])
            subprocess.run(stop, check=False, cwd="/", stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
