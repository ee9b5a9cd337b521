"""Processes that run the trials of a sweep on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from leukosr.engine.parallel import usable_cores
from leukosr.engine.progress import progress
from leukosr.errors import LeukoError
from leukosr.tracking.trial_store import TrialStore

POLL_SECONDS = 0.5
WARNING = "warning"  # begins lines that are not errors
ENDING_SECONDS = 90.0  # for a process to end its run in MLflow, whose server may be slow to answer


def threads_each(workers: int) -> int:
    """Threads of each of `workers` processes."""
    return max(1, usable_cores() // workers)


def make_trials(store: TrialStore, workers: int, params_file: Path, parent_id: str | None) -> None:
    """Run trials in `workers` processes, each with its share of the cores, and wait until they have ended.

    If one is killed, the others take its trial. Raises LeukoError if every worker fails.
    """
    # wide enough that every sentence of the processes is one line
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads_each(workers)), "COLUMNS": "2000"}
    environment.pop("MLFLOW_RUN_ID", None)
    command = [sys.executable, "-m", "leukosr", "sweep", "--join", store.name, "--params", str(params_file)]
    if parent_id is not None:
        command += ["--parent", parent_id]
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(workers)]
        processes = [subprocess.Popen(command, env=environment, stderr=file) for file in outputs]
        try:
            with progress(store.cells, "sweep") as advance:
                shown = 0
                while any(process.poll() is None for process in processes):
                    done = len(store.finished())
                    advance(done - shown, f"{sum(process.poll() is None for process in processes)} processes")
                    shown = done
                    time.sleep(POLL_SECONDS)
        finally:
            _end(processes)
        failed = [number for number, process in enumerate(processes) if process.returncode]
        lines = [_lines(file) for file in outputs]
    # the same warning of several processes is printed once
    for warning in dict.fromkeys(line for each in lines for line in each if line.startswith(WARNING)):
        print(warning, file=sys.stderr)
    killed = {number for number in failed if processes[number].returncode < 0 or not lines[number]}
    words = ["it was killed" if number in killed else lines[number][-1].removeprefix("error: ") for number in failed]
    if len(failed) == workers:
        raise LeukoError(f"every process failed; the first error was: {words[0]}")
    for number, word in zip(failed, words, strict=True):
        print(f"sweep: process {number + 1} ended early: {word}", file=sys.stderr)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate all processes that still run at once; kill those that ignore it."""
    for process in processes:
        process.terminate()  # nothing where it has ended
    deadline = time.monotonic() + ENDING_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lines(file: IO[str]) -> list[str]:
    """The lines that a process printed."""
    file.seek(0)
    return [line.strip() for line in file if line.strip()]
