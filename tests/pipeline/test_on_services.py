"""A study on services: MLflow on PostgreSQL and S3, trials on PostgreSQL, DVC's files on S3, two folders at work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import mlflow
import numpy as np
import optuna
import pandas as pd
import psycopg
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from tests.patience import PATIENCE
from tests.postgresql import free_port, postgresql_server
from tests.services import KEYS, command_of, get, s3_server, serving

from leukosr.images.reading import png_bytes
from leukosr.tracking.served_model import image_of
from leukosr.tracking.trial_storage import open_storage

from .conftest import Clone, fresh_clone, stages_run, tiny

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

STUDY = (*tiny(["srgan"]), "-S", "study=demo_sr", "-S", "arms=[bicubic,srgan]", "-S", "runtime.log_models=true")
TRIALS = 3


@dataclass(frozen=True)
class Services:
    """Addresses: MLflow, the S3 server, and two databases for trials."""

    mlflow: str
    s3: str
    trials: str
    other_trials: str

    def clone_of(self, clone: Clone, trials: str) -> Clone:
        """The same clone, whose commands log to the services and share trials there."""
        own = {"MLFLOW_TRACKING_URI": self.mlflow, "LEUKOSR_OPTUNA_STORAGE": trials, **KEYS}
        return Clone(clone.root, {**clone.env, **own})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder, port = tmp_path_factory.mktemp("services"), free_port()
    url = f"http://127.0.0.1:{port}"
    with postgresql_server() as database, s3_server(folder) as s3:
        names = ("mlflow", "optuna", "workers")
        with psycopg.connect(database, autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}")
        logged, trials, others = (f"{database.rpartition('/')[0]}/{name}" for name in names)
        command = [*command_of("mlflow", port, logged), "--workers=1"]
        with serving(command, f"{url}/health", folder, MLFLOW_S3_ENDPOINT_URL=s3, **KEYS):
            assert b"OK" in get(f"{url}/health", Host=f"mlflow:{port}"), "workers call it by the name of its service"
            yield Services(url, s3, trials, others)


@pytest.fixture(scope="module")
def pushed(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A finished study, committed, with its files pushed to the S3 server."""
    clone = services.clone_of(fresh_clone(tmp_path_factory.mktemp("first machine")), services.trials)
    assert {"train_sr@srgan", "sweep", "report"} <= stages_run(clone.run("dvc", "exp", "run", *STUDY))
    clone.run("dvc", "remote", "add", "--default", "storage", "s3://leukosr/dvc")
    clone.run("dvc", "remote", "modify", "storage", "endpointurl", services.s3)
    clone.run("dvc", "push")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "a finished study and where its files are")
    return clone


@pytest.fixture(scope="module")
def pulled(services: Services, pushed: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """An empty clone of the same, as on another machine, after `dvc pull`."""
    home = tmp_path_factory.mktemp("second machine")
    subprocess.run(["git", "clone", "--quiet", str(pushed.root), str(home / "clone")], check=True)
    env = {**pushed.env, "PYTHONPATH": str(home / "clone" / "src"), "DVC_SITE_CACHE_DIR": str(home / "site")}
    clone = Clone(home / "clone", env)
    assert not (clone.root / "outputs").exists()
    clone.run("dvc", "pull", "--allow-missing")
    return clone


def test_trainings_and_trials_are_logged_and_a_network_is_loaded_from_there(
    services: Services, pushed: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MLFLOW_TRACKING_URI": services.mlflow, **KEYS}.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient()
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert {run.info.status for run in runs} == {"FINISHED"}
    named = {run.info.run_name for run in runs}
    assert {"train_sr srgan", "sweep srgan"} <= named, named
    assert not (pushed.root / "mlflow.db").exists() and not (pushed.root / "optuna.db").exists()
    assert b"last.safetensors" in get(f"{services.s3}/leukosr?list-type=2&prefix=mlflow/")
    (trials,) = optuna.get_all_study_summaries(open_storage(services.trials, 60))
    assert trials.n_trials == len(pd.read_csv(pushed.root / "outputs/demo_sr/sweep/trials.csv"))
    (model, *_) = mlflow.search_logged_models(experiment_ids=experiments, output_format="list")
    cells = pd.DataFrame({"image": [png_bytes(np.zeros((6, 8, 3), np.uint8))]})
    (made,) = mlflow.pyfunc.load_model(model.model_uri).predict(cells)["image"]
    assert image_of(made).shape == (24, 32, 3)


def test_an_empty_clone_that_pulled_runs_nothing_again(pushed: Clone, pulled: Clone) -> None:
    before = len(pd.read_csv(pushed.root / "outputs/demo_sr/manifest.csv"))
    assert len(list((pulled.root / "outputs/demo_sr/lr").rglob("*.png"))) == before
    assert stages_run(pulled.run("dvc", "repro")) == set()
    page = "reports/demo_sr/index.html"
    assert (pulled.root / page).read_bytes() == (pushed.root / page).read_bytes()


def test_two_machines_share_a_sweep_and_one_that_dies_leaves_its_trial_to_the_other(
    services: Services, pushed: Clone, pulled: Clone
) -> None:
    url = services.other_trials
    machines = [services.clone_of(clone, url) for clone in (pushed, pulled)]
    storage = open_storage(url, 60)  # with its tables, before others look
    for machine in machines:
        machine.edit_params(
            {
                "sweep.runs": TRIALS,
                "train_sr.srgan.stages.0.iterations": 100,
                "train_sr.srgan.validate_every": 50,
                "runtime.heartbeat_seconds": 2,
            }
        )
    first, second = (machine.start("leukosr", "sweep") for machine in machines)
    wait_for_trials(storage, 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=PATIENCE)
    said, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, said
    trials = optuna.load_study(study_name=None, storage=storage).trials
    done = sorted(trial.user_attrs["cell"] for trial in trials if trial.state == TrialState.COMPLETE)
    assert done == list(range(TRIALS)), "every cell once"
    assert [trial.state for trial in trials].count(TrialState.FAIL) == 1
    assert len(pd.read_csv(pulled.root / "outputs/demo_sr/sweep/trials.csv")) == TRIALS


def wait_for_trials(storage: optuna.storages.BaseStorage, wanted: int) -> None:
    """Wait until so many processes train for a trial: a second trial of one cell is dropped before it has a run."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for study in storage.get_all_studies():
            running = storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.RUNNING,))
            if sum("mlflow_run_id" in trial.user_attrs for trial in running) >= wanted:
                return
        time.sleep(0.1)
    raise AssertionError(f"{wanted} processes have not begun a trial")
