"""`mlflow run .` on a finished study: one run, its files as artifacts, nothing of DVC's touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from .conftest import Clone

pytestmark = pytest.mark.pipeline


@pytest.mark.slow  # and with `make test-avx2`
def test_an_entry_point_makes_one_run_with_the_figures_of_the_stage_and_leaves_dvc_alone(clone: Clone) -> None:
    known = {run.info.run_id for run in clone.runs()}
    clone.run(*project("classify", arm="ground_truth", seed="3"))
    (run,) = [run for run in clone.runs() if run.info.run_id not in known]
    assert run.info.status == "FINISHED" and run.data.tags["stage"] == "classify"
    assert run.data.params["seed"] == "3" and run.data.params["arm"] == "ground_truth"
    client = MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}")
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"metrics.json", "predictions.csv", "history.csv", "confusion.png"} <= files
    metrics = json.loads(Path(client.download_artifacts(run.info.run_id, "metrics.json")).read_text())
    assert list(metrics["per_seed"]) == ["3"] and metrics["accuracy"] == run.data.metrics["accuracy"]
    staged = json.loads((clone.root / "outputs/demo/classify/ground_truth/paper/metrics.json").read_text())
    del metrics["seconds"], staged["seconds"]
    assert metrics == staged, "seed 3 is the seed of the study: the same work, the same figures"
    assert clone.changed_stages() == set()


def test_a_missing_input_is_named_with_the_target_that_makes_it(clone: Clone) -> None:
    shutil.rmtree(clone.root / "outputs/demo/arms/raw")
    output = clone.run(*project("quality", arm="raw"), fails=True)
    assert "outputs/demo/arms/raw does not exist yet: run `dvc repro upscale@raw`" in output


def project(entry: str, **parameters: str) -> list[str]:
    given = [part for key, value in parameters.items() for part in ("-P", f"{key}={value}")]
    return ["mlflow", "run", ".", "-e", entry, "--env-manager", "local", *given]
