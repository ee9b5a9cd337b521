"""Artifacts are found in a project that was moved or copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from leukosr import tracking
from leukosr.tracking.moved import follow_artifacts


@pytest.fixture
def project(mlflow_template: Path, tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store, in which a run has logged a file and another experiment none."""
    root = tmp_path / "old_place"
    root.mkdir()
    shutil.copyfile(mlflow_template, root / "mlflow.db")
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    for name in ("demo", "empty"):
        mlflow.create_experiment(name, artifact_location=f"mlruns/{name}")
    (root / "scores.csv").write_text("1")
    with tracking.run("one", experiment="demo", tags={}) as run:
        run.file(root / "scores.csv")
    return root


def places() -> dict[str, str]:
    return {each.name: each.artifact_location for each in MlflowClient().search_experiments() if each.name != "Default"}


@pytest.mark.parametrize("bring", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_the_artifacts_of_a_moved_or_copied_project_are_its_own(
    bring: object, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = project.with_name("new")
    bring(project, new)  # type: ignore[operator]
    monkeypatch.chdir(new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new / 'mlflow.db'}")
    follow_artifacts(mlflow.get_tracking_uri())
    assert places() == {"demo": str(new / "mlruns/demo"), "empty": str(project / "mlruns/empty")}
    (run,) = mlflow.search_runs(["1", "2"], output_format="list")
    assert run.info.artifact_uri.startswith(str(new / "mlruns/demo/"))
    assert (
        Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="scores.csv")).read_text() == "1"
    )


def test_a_store_elsewhere_keeps_its_places(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    (other / "mlruns/demo").mkdir(parents=True)
    monkeypatch.chdir(other)
    uri = f"sqlite:///{project / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for store in (uri, "http://127.0.0.1:9", "sqlite:///none.db"):
        follow_artifacts(store)
    assert places()["demo"] == str(project / "mlruns/demo")
