"""Several processes on one sweep, some of them killed: every trial is made once, and none is stuck."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState
from tests.patience import PATIENCE
from tests.postgresql import postgresql_server

from leukosr.config import Params
from leukosr.tracking.trial_storage import open_storage

from .conftest import TINY, Study

CELLS = 6
CHANGES = (
    "classifier.backbone=resnet18", "sweep.learning_rates=[0.001]", f"sweep.runs={CELLS}", "sweep.epochs=6",
    "runtime.heartbeat_seconds=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture
def folder(study: Study, tmp_path: Path, mlflow_template: Path, compose_params: Callable[..., Params]) -> Path:
    """A finished study without its sweep, and params.yaml that asks for one."""
    shutil.copytree(study.outputs, tmp_path / "outputs" / "demo", ignore=shutil.ignore_patterns("sweep"))
    shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    params = compose_params(*TINY, *CHANGES).model_dump(mode="json")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return tmp_path


def start(folder: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    storage_at(url)  # with its tables, before others look
    environment = {
        **os.environ, "LEUKOSR_OPTUNA_STORAGE": url, "OMP_NUM_THREADS": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }  # fmt: skip
    command = [sys.executable, "-m", "leukosr", "sweep", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@cache  # an engine for each look would use up the server's connections
def storage_at(url: str) -> optuna.storages.BaseStorage:
    return open_storage(url, 60)


def study_at(url: str) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=storage_at(url))


def processes_under_way(url: str, wanted: int) -> list[int]:
    """Wait until so many processes train for a trial: a second trial of one cell is dropped before it has a run."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            running = study_at(url).get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        except (ValueError, KeyError, OSError):
            running = []
        found = [trial.user_attrs["process"][1] for trial in running if "mlflow_run_id" in trial.user_attrs]
        if len(found) >= wanted:
            return found[:wanted]
        time.sleep(0.1)
    raise AssertionError("no trial has begun")


def check_done(folder: Path, url: str, lost: int) -> None:
    trials = study_at(url).trials
    done = Counter(trial.user_attrs["cell"] for trial in trials if trial.state == TrialState.COMPLETE)
    assert done == dict.fromkeys(range(CELLS), 1)
    # two processes may queue a lost cell at the same moment; the second trial of it is dropped before it trains
    doubles = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert not any("metrics" in trial.user_attrs or "mlflow_run_id" in trial.user_attrs for trial in doubles)
    states = Counter(trial.state for trial in trials if "cell" in trial.user_attrs and trial not in doubles)
    assert states == {TrialState.COMPLETE: CELLS, TrialState.FAIL: lost}
    table = pd.read_csv(folder / "outputs" / "demo" / "sweep" / "trials.csv")
    assert list(table["trial"]) == list(range(CELLS))
    assert set(table["ran_on"]) == {"cpu, 1 thread"}
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for trial in trials:
        if "mlflow_run_id" in trial.user_attrs:
            status = client.get_run(trial.user_attrs["mlflow_run_id"]).info.status
            assert status == ("FINISHED" if trial.state == TrialState.COMPLETE else "KILLED")


@pytest.mark.slow
def test_killed_workers_leave_their_trials_to_the_others(folder: Path, postgresql: str) -> None:
    (folder / "params.yaml").rename(folder / "mine.yaml")
    parent = start(folder, postgresql, "--workers", "4", "--params", "mine.yaml")
    killed = processes_under_way(postgresql, 2)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    output, _ = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 0, output
    assert output.count("ended early: it was killed") == 2
    check_done(folder, postgresql, lost=2)


@pytest.mark.slow
def test_a_killed_worker_of_a_journal_leaves_its_trial_to_the_others(folder: Path) -> None:
    url = f"journal:{folder / 'trials.log'}"
    parent = start(folder, url, "--workers", "2")
    (killed,) = processes_under_way(url, 1)
    os.kill(killed, signal.SIGKILL)
    output, _ = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 0, output
    check_done(folder, url, lost=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_killed_sweep_goes_on_at_its_next_start(folder: Path, kind: str) -> None:
    url = f"sqlite:///{folder / 'trials.db'}" if kind == "sqlite" else f"journal:{folder / 'trials.log'}"
    first = start(folder, url)
    processes_under_way(url, 1)
    first.kill()
    first.wait()
    again = start(folder, url)
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    check_done(folder, url, lost=1)


@pytest.mark.slow
def test_a_sweep_that_is_told_to_end_ends_its_processes_and_goes_on_at_its_next_start(folder: Path) -> None:
    url = f"sqlite:///{folder / 'trials.db'}"
    first = start(folder, url, "--workers", "2")
    workers = processes_under_way(url, 2)
    first.terminate()
    output, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 143, output
    assert output.count("interrupted") == 1 and "Traceback" not in output
    assert not any(psutil.pid_exists(worker) for worker in workers)
    runs = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_runs(["1"])
    assert {run.info.status for run in runs} <= {"KILLED", "FINISHED"}
    again = start(folder, url)
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    done = Counter(t.user_attrs["cell"] for t in study_at(url).trials if t.state == TrialState.COMPLETE)
    assert done == dict.fromkeys(range(CELLS), 1)
