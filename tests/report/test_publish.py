"""Publishing replaces snapshots and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.outputs import MARKER, files_below
from leukosr.report import publish
from leukosr.report.publish import publish_results

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose_params: Any) -> Any:
    """A finished study in the working directory, as far as publishing looks at it; publishes it under a name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: type("Result", (), {"returncode": 0})())
    monkeypatch.setattr(publish, "git_commit", lambda: "unknown")
    for file in ("reports/demo/index.html", "outputs/demo/quality/raw/metrics.json", "params.yaml", "dvc.lock"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("new")
    params = compose_params("study=demo", "budget=smoke")
    return lambda name: publish_results(params, Path("params.yaml"), Layout("demo"), Path("results") / name)


def test_a_snapshot_is_written_and_replaced(project: Any) -> None:
    (project("demo-smoke") / "index.html").write_text("older")
    folder = project("demo-smoke")
    assert (folder / "index.html").read_text() == "new"
    assert not list(Path("results").glob(".*"))


def test_photographs_are_on_the_page_alone(project: Any) -> None:
    figures = Path("reports/demo/figures")
    figures.mkdir()
    for name in ("grid.png", "samples_srgan.png", "accuracy.png", "split_effect.png"):
        (figures / name).write_bytes(b"")
    folder = project("demo-smoke")
    assert {path.name for path in (folder / "figures").iterdir()} == {"accuracy.png", "split_effect.png"}


def test_metrics_are_those_of_the_stages_that_the_study_has(project: Any) -> None:
    for name in ("sr/former/seed-1", "sr/.srgan.leukosr-1a2b-77/seed-1", "arms/srgan", "sweep"):
        metrics = Path("outputs/demo", name, "metrics.json")
        metrics.parent.mkdir(parents=True, exist_ok=True)
        metrics.write_text("{}")
    folder = project("demo-smoke") / "metrics"
    found = {path.parent.relative_to(folder).as_posix() for path in folder.rglob("metrics.json")}
    assert found == {"quality/raw", "arms/srgan", "sweep"}


def test_declared_claims_lie_beside_the_predictions(project: Any) -> None:
    for name in ("outputs/demo/classify/raw/paper/claims.json", "reports/demo/plots/confusion/raw.csv"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("declared")
    folder = project("demo-smoke") / "plots" / "confusion"
    assert {path.name for path in folder.iterdir()} == {"raw.csv", "raw.claims.json"}


@pytest.mark.parametrize("name", ["split.csv", "metrics/thesis.txt", ".notes", "figures/mine/a.png"])
def test_a_folder_with_files_of_somebody_else_stays(project: Any, name: str) -> None:
    mine = project("demo-smoke") / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(LeukoError, match=rf"results/demo-smoke holds files that this command did not write \({name}\)"):
        project("demo-smoke")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", " ", " demo", "a/b", "/tmp/x"])
def test_a_name_that_is_no_folder_below_results_is_refused(project: Any, name: str) -> None:
    with pytest.raises(LeukoError, match="is not a folder directly below results/"):
        project(name)
    assert not Path("results").exists()


def test_what_was_published_is_known_as_such() -> None:
    snapshots = [folder for folder in RESULTS.iterdir() if (folder / "about.json").exists()]
    assert snapshots
    for folder in snapshots:
        written = json.loads((folder / MARKER).read_text())["files"]
        assert set(files_below(folder)) - set(written) <= {"split.csv"}  # added by hand to pbc-leakage
