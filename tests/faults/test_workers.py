"""Workers that start at the same moment: none fails, and no cell of a sweep is measured twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from tests.faults.racing import at_once, log, sweep
from tests.faults.tally import Tally
from tests.patience import PATIENCE
from tests.small_study import SMALL, make_study

from leukosr.config import Params
from leukosr.tracking.trial_storage import open_storage

CELLS = 20
STORAGES = {"a new database": "sqlite:///{}/trials.db", "a new journal": "journal:{}/trials.log"}
COMMANDS = 3
SWEEP = ("sweep.learning_rates=[0.001]", "sweep.runs=20", "sweep.epochs=1", "classifier.backbone=resnet18",
         "runtime.sweep_workers=2")  # fmt: skip


@pytest.mark.slow
def test_workers_that_start_at_once_share_a_sweep(
    tally: Tally, sample: Callable[[int, int], int], tmp_path: Path
) -> None:
    tally.kind = "workers start at once"
    for again in range(sample(3, 1)):
        for name, url in STORAGES.items():
            folder = tmp_path / f"{name} {again}"
            folder.mkdir()
            with tally.trial(folder.name):
                found = at_once(sample(16, 6), sweep, url.format(folder), CELLS)
                assert Counter(cell for cells in found for cell in cells) == dict.fromkeys(range(CELLS), 1)


def test_runs_that_start_at_once_share_a_store(tally: Tally, sample: Callable[[int, int], int], tmp_path: Path) -> None:
    tally.kind = "runs start at once"
    processes, uri = sample(16, 3), f"sqlite:///{tmp_path / 'mlflow.db'}"
    with tally.trial("in a new database"):
        runs = at_once(processes, log, uri)
        client = MlflowClient(uri)
        assert len(set(runs)) == processes
        assert all(client.get_run(run).data.metrics["accuracy"] == 0.5 for run in runs)
        assert all(client.get_run(run).info.status == "FINISHED" for run in runs)


@pytest.mark.skipif(os.environ.get("LEUKOSR_CAMPAIGN") != "1", reason="9 processes that import torch: make campaign")
def test_sweep_commands_that_start_at_once_share_the_work(
    tally: Tally, compose_params: Callable[..., Params], tmp_path: Path
) -> None:
    tally.kind = "sweep commands start at once"
    make_study(tmp_path, compose_params(*SMALL, *SWEEP))
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    environment = {
        **os.environ, "LEUKOSR_OPTUNA_STORAGE": storage, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src"), "COLUMNS": "1000",
    }  # fmt: skip
    started = [
        subprocess.Popen([sys.executable, "-m", "leukosr", "sweep"], cwd=tmp_path, env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(COMMANDS)
    ]  # fmt: skip
    said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    with tally.trial("in a new database"):
        assert [process.returncode for process in started] == [0] * COMMANDS, said
        assert not any(word in text for text in said for word in ("ended early", "warning", "Traceback")), said
        trials = optuna.load_study(study_name=None, storage=open_storage(storage, 60)).trials
        done = Counter(trial.user_attrs["cell"] for trial in trials if trial.state == TrialState.COMPLETE)
        assert done == dict.fromkeys(range(CELLS), 1)
        assert not any("metrics" in trial.user_attrs for trial in trials if trial.state != TrialState.COMPLETE)
        assert len((tmp_path / "outputs/demo/sweep/trials.csv").read_text().splitlines()) == CELLS + 1
