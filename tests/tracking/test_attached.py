"""Under `mlflow run`, whatever becomes of the run, results are its artifacts, or are kept where the user is told."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from leukosr import cli, tracking
from leukosr.stages.context import Context

GONE = "0123456789abcdef0123456789abcdef"
STAGES = {"prepare": ["prepare"], "train_sr": ["train-sr", "--method", "srgan"]}


@pytest.fixture
def stage(
    mlflow_store: str, tmp_path: Path, compose_raw: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], int]:
    """Run a stage that writes a file, in a project with an empty store; its exit code. One that trains logs itself."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(compose_raw("study=demo", "budget=smoke")))

    def prepare(context: Context) -> Path:
        target = context.out or context.layout.root
        target.mkdir(parents=True)
        (target / "result.csv").write_text("a result")
        return target

    def train(context: Context, method: str) -> None:
        with tracking.run("train_sr srgan", experiment="demo", tags={}) as tracked:
            tracked.file(prepare(context))

    monkeypatch.setattr("leukosr.stages.prepare.run", prepare)
    monkeypatch.setattr("leukosr.stages.train_sr.run", train)

    def run(name: str) -> int:
        monkeypatch.setattr(sys, "argv", ["leukosr", *STAGES[name]])
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.mark.parametrize("name", STAGES)
def test_results_are_artifacts_of_the_run(
    name: str, stage: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = MlflowClient().create_run("0")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    assert stage(name) == 0
    assert [file.path for file in MlflowClient().list_artifacts(run.info.run_id)] == ["result.csv"]
    assert not Path(".leukosr").exists() and not Path("outputs").exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("fault", ["the run is gone", "the store is gone"])
def test_results_that_mlflow_did_not_take_are_kept_where_the_user_is_told(
    name: str, fault: str, stage: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_RUN_ID", GONE)  # as it was left in the shell
    if fault == "the store is gone":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert stage(name) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("warning: MLflow") == 1
    (kept,) = re.findall(r"they are kept in (\S+)$", said)
    assert Path(kept).is_relative_to(".leukosr/kept")
    assert (Path(kept) / "result.csv").read_text() == "a result"
    assert not Path("outputs").exists()


@pytest.mark.parametrize("name", STAGES)
def test_results_that_cannot_be_kept_either_are_an_error(
    name: str, stage: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", GONE)
    Path(".leukosr").write_text("in the way")
    assert stage(name) == 1
    assert f"error: {name}: its results are not kept" in capsys.readouterr().err
