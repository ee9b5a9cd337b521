"""The programs of compose.yaml without containers, on loopback, and an S3 server in the place of MinIO."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.patience import PATIENCE
from tests.postgresql import free_port

ROOT = Path(__file__).resolve().parents[1]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
KEYS = {"AWS_ACCESS_KEY_ID": "leukosr", "AWS_SECRET_ACCESS_KEY": "leukosr-test", "AWS_DEFAULT_REGION": "us-east-1"}


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
        content: bytes = answer.read()
        return content


def command_of(service: str, port: int, database: str) -> list[str]:
    """The command of a service in compose.yaml, with another address, port and database."""
    asked = SERVICES[service]["command"]
    own = {"mlflow": "5000", "optuna-dashboard": "8080"}[asked[0]]
    ported = [re.sub(rf"\b{own}\b", str(port), each).replace("0.0.0.0", "127.0.0.1") for each in asked[1:]]
    program = Path(sys.executable).with_name(asked[0])
    # last, as the database's own port may hold the digits of the service's
    return [str(program), *(re.sub(r"postgresql://\S+", database, each) for each in ported)]


@contextmanager
def serving(command: list[str], ready: str, folder: Path, **environment: str) -> Iterator[None]:
    """A server that answers at `ready`; it and its children end with the block."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: get(ready), process, log)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(PATIENCE)


def wait_for(look: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            look()
            return
        except OSError:
            said = log.read_text(errors="replace")[-3000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
        time.sleep(0.5)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of an S3 server with the bucket `leukosr`; what it holds is lost with it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, f"{url}/moto-api/data.json", folder):
        urllib.request.urlopen(urllib.request.Request(f"{url}/leukosr", method="PUT"), timeout=PATIENCE).close()
        yield url
