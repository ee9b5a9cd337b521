"""Whatever MLflow does, a training ends in bounded time with its results on disk, and `leukosr sync` logs them once."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from tests.faults.broken_server import FAULTS, BrokenServer
from tests.faults.tally import Tally
from tests.small_study import LAYOUT, QUIET, SMALL, make_study

from leukosr.classify.trainer import predict
from leukosr.config import Params
from leukosr.stages import classify
from leukosr.stages.context import Context
from leukosr.tracking.records import RESULTS
from leukosr.tracking.sync import sync

BOUND_SECONDS = 60  # of a stage whose calls have a deadline of one second, on a busy machine
Mend = Callable[[], object]


@dataclass(frozen=True)
class Small:
    """A study that is ready to classify: its parameters and its folder."""

    params: Params
    folder: Path


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory,
    compose_params: Callable[..., Params],
    session_small_resnet: Callable[[pytest.MonkeyPatch], None],
) -> Iterator[Small]:
    folder, params = tmp_path_factory.mktemp("small"), compose_params(*SMALL)
    make_study(folder, params)
    with pytest.MonkeyPatch.context() as patch:
        session_small_resnet(patch)
        yield Small(params, folder)


class Store:
    """An empty store in the working folder: a SQLite file, perhaps behind a server."""

    def __init__(self, template: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.server = patch, None
        self.file = Path("mlflow.db").absolute()
        shutil.copyfile(template, self.file)
        self.directly()

    def directly(self) -> None:
        self.patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{self.file}")

    @contextlib.contextmanager
    def served(self) -> Iterator[BrokenServer]:
        server = BrokenServer(f"sqlite:///{self.file}", Path("served").absolute())
        self.patch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server
        server.close()


@contextlib.contextmanager
def server_that(name: str, store: Store) -> Iterator[Callable[[], Mend]]:
    with store.served() as server:

        def breaks() -> Mend:
            server.close() if name == "is down" else setattr(server, "fault", FAULTS[name])
            return store.directly  # as a server that works again

        yield breaks


@contextlib.contextmanager
def locked(store: Store) -> Iterator[Callable[[], Mend]]:
    """Another program holds the database."""

    def breaks() -> Mend:
        holder = sqlite3.connect(store.file, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN EXCLUSIVE")
        return holder.close

    yield breaks


@contextlib.contextmanager
def garbage(store: Store) -> Iterator[Callable[[], Mend]]:
    """The database is something else, as after a failure of the disk."""

    def breaks() -> Mend:
        whole = store.file.read_bytes()
        store.file.write_bytes(b"\x00garbage" * 4096)
        return lambda: store.file.write_bytes(whole)

    yield breaks


@contextlib.contextmanager
def deleted(store: Store) -> Iterator[Callable[[], Mend]]:
    """Somebody deletes the runs of the study, or, before there is one, its experiment."""

    def breaks() -> Mend:
        client = MlflowClient()
        experiment = client.get_experiment_by_name("demo")
        if experiment is None:
            number = client.create_experiment("demo")
            client.delete_experiment(number)
            return lambda: client.restore_experiment(number)
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
        return lambda: None

    yield breaks


KINDS: dict[str, Callable[[Store], contextlib.AbstractContextManager[Callable[[], Mend]]]] = {
    **{f"a server {name}": partial(server_that, name) for name in (*FAULTS, "is down")},
    "the database is locked": locked,
    "the database is garbage": garbage,
    "the run is deleted": deleted,
}
MOMENTS = ("at the start", "midway")
FEW = [("a server drips its body", "midway"), ("a server is silent", "at the start"), ("a server is down", "midway"),
       ("the database is locked", "at the start"), ("the run is deleted", "midway")]  # fmt: skip


@pytest.mark.slow
def test_a_training_outlives_mlflow_and_is_logged_once_later(
    small: Small, tally: Tally, campaign: bool, mlflow_template: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tally.kind = "MLflow fails"
    with workspace(small, tmp_path / "whole", mlflow_template):
        classify.run(Context(small.params, LAYOUT, QUIET), "raw")
        found, logged = predictions(), everything_logged()
    assert "warning" not in capsys.readouterr().err
    for kind, moment in [(kind, moment) for kind in KINDS for moment in MOMENTS] if campaign else FEW:
        name = f"{kind}, {moment}"
        with (
            tally.trial(name),
            workspace(small, tmp_path / name, mlflow_template) as store,
            KINDS[kind](store) as breaks,
        ):
            started = time.monotonic()
            with broken(breaks, moment, store.patch):
                classify.run(Context(small.params, LAYOUT, QUIET), "raw")
                assert time.monotonic() - started < BOUND_SECONDS
            said = " ".join(capsys.readouterr().err.split())
            assert said.count("warning: MLflow") == 1 and "`leukosr sync` logs it" in said, said
            pd.testing.assert_frame_equal(predictions(), found)
            assert sync(small.params, Path("params.yaml"), LAYOUT).logged == ["classify raw"]
            again = sync(small.params, Path("params.yaml"), LAYOUT)
            assert (again.logged, again.held) == ([], ["classify raw"])
            assert everything_logged() == logged


@contextlib.contextmanager
def workspace(small: Small, folder: Path, template: Path) -> Iterator[Store]:
    """A copy of the study as the working folder, with an empty store."""
    shutil.copytree(small.folder, folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        yield Store(template, patch)


@contextlib.contextmanager
def broken(breaks: Callable[[], Mend], moment: str, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow is broken from a moment of the stage on, and whole again afterwards."""
    mends: list[Mend] = []

    def fail() -> None:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        patch.setattr("leukosr.tracking.runs.DEADLINE_SECONDS", 1.0)
        mends.append(breaks())

    def failing(*arguments: Any) -> Any:
        if not mends:
            fail()
        return predict(*arguments)

    if moment == "at the start":
        fail()
    patch.setattr(classify, "predict", failing)
    yield
    mends[0]()
    patch.setattr("leukosr.tracking.runs.DEADLINE_SECONDS", 60.0)
    patch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")


def predictions() -> pd.DataFrame:
    return pd.read_csv(LAYOUT.classify("raw", "paper") / "predictions.csv")


def everything_logged() -> dict[str, Any]:
    """What the one complete run of the store and those below it hold, by name, without times."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name("demo")
    (whole,) = client.search_runs([experiment.experiment_id], f"tags.{RESULTS} LIKE '%'")
    below = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{whole.info.run_id}'")
    found = {}
    for run in (whole, *below):
        names = [name for name in run.data.metrics if name != "seconds" and not name.startswith("system/")]
        histories = {name: client.get_metric_history(run.info.run_id, name) for name in names}
        found[run.info.run_name] = {
            "status": run.info.status,
            "parameters": run.data.params,
            "metrics": {name: sorted((each.step, each.value) for each in rows) for name, rows in histories.items()},
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
            "data": [each.dataset.digest for each in run.inputs.dataset_inputs],
            "stage": run.data.tags["stage"],
        }  # fmt: skip
    return found
