"""A cut between the members of an ensemble changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from leukosr.classify.ensemble import Ensemble
from leukosr.classify.trainer import ClassifierTraining
from leukosr.classify.weights import load_classifier
from leukosr.config import Params
from leukosr.engine.resume import Resume
from leukosr.layout import Layout
from leukosr.stages import classify
from leukosr.stages.context import Context

from .conftest import TINY, Study

TRAIN = ClassifierTraining.run


@pytest.mark.slow
def test_a_stage_cut_between_members_ends_with_the_same_predictions(
    study: Study, compose_params: Callable[..., Params], tmp_path: Path, quiet: Console, mlflow_template: Path,
    small_resnet: None, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    small = ("classifier.ensemble=2", "budget.classify.epochs=1", "classifier.size=[32, 32]", "study.seeds=[3]")
    params = compose_params(*TINY, *small)
    found = []
    for name, cuts in (("whole", 0), ("cut", 1)):
        root = tmp_path / name
        (root / "outputs" / "demo" / "arms").mkdir(parents=True)
        for table in ("manifest.csv", "roles.csv"):
            shutil.copyfile(study.outputs / table, root / "outputs" / "demo" / table)
        (root / "outputs" / "demo" / "arms" / "raw").symlink_to(study.outputs / "arms" / "raw")
        shutil.copyfile(mlflow_template, root / "mlflow.db")
        monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
        monkeypatch.chdir(root)
        kept, begun = Resume.drop, list[str]()
        monkeypatch.setattr(ClassifierTraining, "run", partialmethod(_noted, begun, TRAIN))
        for _ in range(cuts):
            monkeypatch.setattr(Resume, "drop", _cut)  # when the first member is on disk
            with pytest.raises(KeyboardInterrupt):
                classify.run(Context(params, Layout("demo"), quiet), "raw")
            monkeypatch.setattr(Resume, "drop", kept)
            assert not list(root.rglob("predictions.csv"))
        classify.run(Context(params, Layout("demo"), quiet), "raw")
        assert begun == ["seed-3", "seed-3-member-2"]  # the finished member was not trained again
        folder = root / "outputs" / "demo" / "classify" / "raw" / "paper"
        history = pd.read_csv(folder / "history.csv")
        assert list(history["member"]) == ["member-1", "member-2"]
        assert isinstance(load_classifier(folder / "weights" / "seed-3.safetensors").model, Ensemble)
        found.append((folder / "predictions.csv").read_bytes())
    assert found[0] == found[1]


def _noted(self: ClassifierTraining, begun: list[str], train: Callable[..., None], *rest: Any) -> None:
    begun.append(self.label)
    train(self, *rest)


def _cut(self: Resume, name: str) -> None:
    raise KeyboardInterrupt
