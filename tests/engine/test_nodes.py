"""torchrun on two nodes: two network namespaces where they can be made, else two ports of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.patience import PATIENCE
from tests.postgresql import free_port

from leukosr.config import Params

from .conftest import LEUKOSR, TINY, TRAIN, start, write_params

pytestmark = [pytest.mark.slow, pytest.mark.pipeline]


@pytest.fixture
def nodes() -> Iterator[tuple[list[list[str]], str]]:
    """What a command begins with on each of two nodes, and the first one's address."""
    names = [f"leukosr-{os.getpid()}-{side}" for side in "ab"]
    pair = [f"lsr{os.getpid()}{side}" for side in "ab"]
    with ExitStack() as undone:
        try:
            for name in names:
                ip("netns", "add", name)
                undone.callback(ip, "netns", "delete", name)
            ip("link", "add", pair[0], "netns", names[0], "type", "veth", "peer", "name", pair[1], "netns", names[1])
            for number, (name, link) in enumerate(zip(names, pair, strict=True), start=1):
                ip("-n", name, "address", "add", f"10.77.77.{number}/24", "dev", link)
                ip("-n", name, "link", "set", link, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError):  # no iproute2, or not allowed
            yield [["env", "GLOO_SOCKET_IFNAME=lo"]] * 2, "127.0.0.1"
        else:
            commands = [
                ["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={link}"]
                for name, link in zip(names, pair, strict=True)
            ]
            yield commands, "10.77.77.1"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def train_on(nodes: tuple[list[list[str]], str], study: Path, params: str, out: str) -> list[subprocess.Popen[str]]:
    """Start torchrun on both nodes, as slurm/train.sbatch does, with one process each."""
    commands, address = nodes
    port = free_port()
    return [
        start(
            study, *command, sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}",
            "--nproc-per-node=1", f"--master-addr={address}", f"--master-port={port}", "-m", "leukosr", *TRAIN, params,
            "--out", out,
        )
        for rank, command in enumerate(commands)
    ]  # fmt: skip


def test_two_nodes_train_as_one_process(
    nodes: tuple[list[list[str]], str], study: Path, compose_params: Callable[..., Params]
) -> None:
    params = write_params(study, compose_params(*TINY))
    started = train_on(nodes, study, params, "nodes")
    said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [output.count("train_sr srgan: 4 iterations") for output, _ in said] == [1, 0], "one node speaks"
    alone = start(study, *LEUKOSR, *TRAIN, params, "--out", "alone")
    _, errors = alone.communicate(timeout=PATIENCE)
    assert alone.returncode == 0, errors
    two, one = (metrics_of(study / name) for name in ("nodes", "alone"))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["last_val_psnr"] == pytest.approx(one["last_val_psnr"], rel=1e-4)


def test_when_a_node_dies_the_other_ends_and_the_state_is_kept(
    nodes: tuple[list[list[str]], str], study: Path, compose_params: Callable[..., Params]
) -> None:
    endless = compose_params(*TINY, "train_sr.srgan.stages.0.iterations=100000")
    params = write_params(study, endless, checkpoint_seconds=0)
    first, second = train_on(nodes, study, params, "cut")
    deadline = time.monotonic() + PATIENCE
    while not list(study.glob(".leukosr/resume/*/sr.pt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in (*psutil.Process(second.pid).children(recursive=True), psutil.Process(second.pid)):
        process.kill()
    second.communicate(timeout=PATIENCE)
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode != 0, errors
    assert errors.count("error: another process of this stage was killed") == 1 and "bug" not in errors, errors
    assert not (study / "cut").exists()
    assert list(study.glob(".leukosr/resume/*/sr.pt")), "from which the next start goes on"


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found
