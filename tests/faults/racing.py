"""Processes that begin the same thing at the same moment; test_workers.py starts them."""

from __future__ import annotations

import importlib
import io
import multiprocessing
from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

import mlflow
from rich.console import Console
from tests.patience import PATIENCE

from leukosr import tracking
from leukosr.tracking.trial_attempt import Attempt
from leukosr.tracking.trial_store import TrialStore

# what the libraries import when they need it: here once, and not in every process
for name in ("alembic.command", "optuna.storages._rdb.models", "mlflow.store.tracking.sqlalchemy_store"):
    importlib.import_module(name)

# a server of processes is free of the threads of the process that tests
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def at_once(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(*arguments)` returns in so many processes; RuntimeError where one fails, with what it says."""
    ready, queue = CONTEXT.Barrier(count), CONTEXT.Queue()
    processes = [CONTEXT.Process(target=_one, args=(ready, queue, function, arguments)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=PATIENCE) for _ in processes]
    for process in processes:
        process.join()
    failed = [answer for well, answer in found if not well]
    if failed:
        raise RuntimeError(f"{len(failed)} of {count} processes failed: {failed[0]}")
    return [answer for _, answer in found]


def _one(ready: Any, queue: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        ready.wait(PATIENCE)
        queue.put((True, function(*arguments)))
    except (Exception, BrokenBarrierError) as error:
        queue.put((False, f"{type(error).__name__}: {error}"))


def sweep(url: str, cells: int) -> list[int]:
    """Start a sweep, or help with it; the cells that this process has measured."""
    store = TrialStore(url, "race", cells, heartbeat_seconds=60, metric="accuracy", seed=0)
    fixed: list[dict[str, Any]] = [{} for _ in range(cells)]
    measured = []

    def measure(attempt: Attempt) -> dict[str, float]:
        measured.append(attempt.cell)
        return {"accuracy": attempt.cell / cells}

    store.start(fixed)
    store.work(measure, fixed)
    assert [each.cell for each in store.finished()] == list(range(cells))
    return measured


def log(uri: str) -> str:
    """Open a run in a store of which nothing exists yet; its id."""
    mlflow.set_tracking_uri(uri)
    console = Console(file=io.StringIO(), width=1000)
    with tracking.run("race", experiment="race", tags={"stage": "race"}, console=console) as run:
        run.parameters({"a": 1})
        run.metrics({"accuracy": 0.5}, step=1)
    assert not run.lost, console.file.getvalue()  # type: ignore[attr-defined]
    return str(run.run_id)
