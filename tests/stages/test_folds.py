"""Classifiers over folds of sources: each image is tested once, by a classifier that knows nothing of its source."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from leukosr.classify.weights import load_classifier
from leukosr.config import Params
from leukosr.data.manifest import Row, read_manifest, seen_by_classifiers, with_role, write_manifest
from leukosr.layout import Layout
from leukosr.report.curves import classifier_curves
from leukosr.report.style import Look
from leukosr.report.verdicts import leakage
from leukosr.stages import classify
from leukosr.stages.context import Context

from .conftest import TINY, Study


@pytest.fixture
def params(compose_params: Callable[..., Params]) -> Params:
    small = ("study.protocol=source_disjoint", "budget.classify.epochs=1", "classifier.size=[32, 32]")
    return compose_params(*TINY, *small)


def fold_manifest(study: Study, folder: Path) -> list[Row]:
    """The study's images in `folder`, those of the classifiers in two folds by source."""
    rows = read_manifest(study.outputs / "manifest.csv")
    sources: dict[str, set[str]] = defaultdict(set)
    for row in seen_by_classifiers(rows, ["paper"]):
        sources[row.label].add(row.source)
    used = {row.id: sorted(sources[row.label]).index(row.source) + 1 for row in seen_by_classifiers(rows, ["paper"])}
    rows = [
        replace(row, roles={"source_disjoint": f"fold_{used[row.id]}" if row.id in used else "unused"}) for row in rows
    ]
    target = folder / "outputs" / "demo"
    target.mkdir(parents=True)
    write_manifest(target / "manifest.csv", rows)
    (target / "arms").mkdir()
    (target / "arms" / "raw").symlink_to(study.outputs / "arms" / "raw")
    return rows


def test_every_image_is_tested_once_by_a_classifier_of_the_other_folds(
    study: Study, params: Params, tmp_path: Path, quiet: Console, mlflow_template: Path, small_resnet: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rows = fold_manifest(study, tmp_path)
    shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    classify.run(Context(params, Layout("demo"), quiet), "raw")
    folder = tmp_path / "outputs" / "demo" / "classify" / "raw" / "source_disjoint"
    folds = with_role(rows, "source_disjoint", "fold_1", "fold_2")
    assert {row.role("source_disjoint") for row in folds} == {"fold_1", "fold_2"}
    predictions = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    for seed in (1, 2):
        assert sorted(predictions["image"][predictions["seed"] == seed]) == sorted(row.id for row in folds)
        for fold in ("fold_1", "fold_2"):
            loaded = load_classifier(folder / "weights" / f"seed-{seed}-{fold}.safetensors")
            assert loaded.size == (32, 32)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["folds"], metrics["n_test"], metrics["n_train"]) == (2, len(folds), round(len(folds) / 2))
    history = pd.read_csv(folder / "history.csv")
    assert list(history["fold"]) == 2 * ["fold_1", "fold_2"]
    classifier_curves(tmp_path / "curves.png", Look("raw", "#7F7F7F"), history, "")
    training = leakage(rows, "source_disjoint", params)[0]
    assert training.startswith(f"0 of {len(folds)} test images")
    mixed = [replace(row, source=folds[-1].source) if row.source == folds[0].source else row for row in rows]
    assert not leakage(mixed, "source_disjoint", params)[0].startswith("0 of ")
