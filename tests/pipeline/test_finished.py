"""A finished study: its files, its runs, and what DVC says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import ARMS, Clone, stages_run

pytestmark = pytest.mark.pipeline


def test_one_command_makes_the_page_and_the_figures_of_all_arms(finished: Clone) -> None:
    page = (finished.root / "reports/demo/index.html").read_text(encoding="utf-8")
    summary = json.loads((finished.root / "reports/demo/summary.json").read_text())
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert tuple(summary) == ARMS
    for arm, figures in summary.items():
        quality = json.loads((finished.root / f"outputs/demo/quality/{arm}/metrics.json").read_text())
        classified = json.loads((finished.root / f"outputs/demo/classify/{arm}/paper/metrics.json").read_text())
        assert figures["psnr"] == quality["psnr"] and (quality["psnr"] is None) is (arm == "ground_truth")
        assert figures["accuracy"] == classified["accuracy"]
        assert classified["n_test"] == 5 and classified["n_train"] == 15
    assert finished.hidden() == []
    assert not list((finished.root / ".leukosr").rglob("*.pt")), "a finished training leaves no state behind"


def test_all_networks_compute_in_what_auto_means_on_this_processor(finished: Clone) -> None:
    found = finished.json("leukosr", "doctor", "--json")
    records = {path: json.loads(path.read_text()) for path in (finished.root / "outputs").rglob("metrics.json")}
    assert {each["precision"] for each in records.values()} - {None} == {found["precision"]}
    of_the_machine = ("bf16", "GiB of memory are free", "GiB of disk are free")
    assert [each for each in found["problems"] if not any(words in each["what"] for words in of_the_machine)] == []
    assert found["lock"]["fits"]


def test_every_training_is_one_run_in_the_store_in_the_clone(finished: Clone) -> None:
    runs = finished.runs()
    stages = sorted((run.data.tags["stage"], run.data.tags["arm"]) for run in runs)
    wanted = [("classify", arm) for arm in ARMS] + [("train_sr", arm) for arm in ARMS[2:4]]
    wanted += 3 * [("sweep", "raw")]  # its two trials are runs below it
    assert stages == sorted(wanted)
    commit = finished.run("git", "rev-parse", "HEAD").strip()
    for run in runs:
        assert run.info.status == "FINISHED" and run.data.tags["study"] == "demo"
        assert run.data.tags["git_commit"].startswith(commit) and run.data.metrics
        assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(finished.root)


def test_a_second_repro_runs_nothing(finished: Clone) -> None:
    output = finished.run("dvc", "repro")
    assert stages_run(output) == set()
    assert "Data and pipelines are up to date." in output
    missing = {Path(name) for name in finished.json("dvc", "status", "--json")}
    weights = {Path("pretrained") / file.name for file in (finished.root / "pretrained").glob("*.dvc")}
    assert missing == {Path("data.dvc"), *weights}, "BCCD and weights are in no clone, all else is in place"


def test_dvc_shows_metrics_experiments_and_plots(finished: Clone, tmp_path: Path) -> None:
    shown = finished.json("dvc", "metrics", "show", "--json")[""]["data"]
    assert set(shown) == {f"reports/demo/scores/{arm}.json" for arm in ARMS}
    lines = finished.run("dvc", "metrics", "show", "--md").splitlines()
    assert max(map(len, lines)) <= 100, "it fits a screen"
    experiments = finished.json("dvc", "exp", "show", "--json")
    assert experiments[0]["rev"] == "workspace" and experiments[0]["data"]["metrics"]["reports/demo/scores/raw.json"]
    finished.run("dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text(encoding="utf-8")
    for title in ("Confusion of test images", "Classifier training loss", "validation PSNR"):
        assert title in page
    changed = {line.split()[-1] for line in finished.run("git", "status", "--short").splitlines()}
    assert changed == {"dvc.lock", "params.yaml"}, "nothing that a study or DVC writes besides is left to git"
