"""Sweeps: their trials, what those leave in Optuna and MLflow, and what the stage makes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
from rich.console import Console

from leukosr.classify.subject import ClassifierSubject
from leukosr.config import FlipsAndLight, Params, parse_params
from leukosr.data.manifest import SR_ROLES, read_manifest, with_role
from leukosr.engine.seeding import StreamRoots
from leukosr.layout import Layout
from leukosr.report.style import training_words
from leukosr.stages import sweep, sweep_plan
from leukosr.stages.context import Context
from leukosr.stages.sweep_plan import inputs_of_sweep, plan_sweep

from .conftest import TINY, Study


def test_the_sweep_of_a_study_is_written_and_on_the_page(study: Study) -> None:
    folder = study.outputs / "sweep"
    names = {path.name for path in folder.iterdir()}
    assert names == {"trials.csv", "variance.json", "runs.png", "components.png"}  # differences take six runs
    trials = pd.read_csv(folder / "trials.csv", keep_default_na=False)
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["state"]) == {"COMPLETE"} and set(trials["varied"]) == {"all"}
    assert sorted(trials["learning_rate"]) == [0.0003, 0.0003, 0.001, 0.001]
    assert {"split", "init", "order"} <= set(trials) and "augment" not in trials
    record = json.loads((folder / "variance.json").read_text())
    assert record["arm"] == "raw" and record["trials"] == 4 and record["sentences"]
    page = (study.folder / "reports" / "demo" / "index.html").read_text(encoding="utf-8")
    assert "How much is chance" in page and record["sentences"][0] in page.replace("&#39;", "'")
    assert (study.folder / "optuna_artifacts").is_dir()


def test_trials_and_runs_find_each_other(inside: Study) -> None:
    trials = pd.read_csv(inside.outputs / "sweep" / "trials.csv", keep_default_na=False)
    kept = optuna.load_study(study_name=None, storage=f"sqlite:///{inside.folder / 'optuna.db'}")
    parent = kept.user_attrs["mlflow_run_id"]
    for trial in kept.trials:
        run = mlflow.get_run(trial.user_attrs["mlflow_run_id"])
        assert run.data.tags["trial"] == str(trial.number)
        assert run.data.tags["mlflow.parentRunId"] == parent
        assert run.data.metrics["accuracy"] == trial.value
        assert float(run.data.params["learning_rate"]) == trial.params["learning_rate"]
        assert trial.user_attrs["mlflow_run_id"] in set(trials["mlflow_run"])
    whole = mlflow.get_run(parent).data
    assert whole.tags["stage"] == "sweep"
    assert (whole.params["classify.schedule"], whole.params["classify.epochs"]) == ("constant", "1")
    rates = trials.groupby("learning_rate")["accuracy"].mean()
    assert whole.metrics["highest_mean"] == pytest.approx(rates.max())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "1 epoch, constant learning rate"),
        (
            {
                "schedule": "cosine",
                "warm_up": 0.1,
                "ema": 0.9,
                "ensemble": 4,
                "head_start": "linear",
                "augmentations": [FlipsAndLight(kind="flips_and_light", strength=0.5)],
            },
            "1 epoch, cosine decay, warm-up, last layer from ±1/√inputs, flips and light 0.5, averaged weights, "
            "4 classifiers per run",
        ),
    ],
)
def test_figures_say_how_the_classifiers_trained(
    compose_params: Callable[..., Params], changes: dict[str, object], words: str
) -> None:
    assert ", ".join(training_words(compose_params().classifier.model_copy(update=changes))) == words


@pytest.fixture
def place(study: Study, tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the study's images and no sweep, as the working directory."""
    shutil.copytree(study.outputs, tmp_path / "outputs" / "demo", ignore=shutil.ignore_patterns("sweep"))
    (tmp_path / "set").symlink_to(study.folder / "set")
    shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "demo" / "sweep"


Compose = Callable[..., Params]


def test_streams_are_varied_one_at_a_time_and_repeats_are_exact(
    place: Path, compose_params: Compose, quiet: Console, small_resnet: None
) -> None:
    changes = ("sweep.design=streams", "sweep.learning_rates=[0.001]", "sweep.repeats=3", "sweep.runs=2")
    params = compose_params(
        *TINY, *changes, "sweep.streams=[split,init,order]", "runtime.optuna_storage='journal:o.log'"
    )
    sweep.run(Context(params, Layout("demo"), quiet))
    trials = pd.read_csv(place / "trials.csv")
    assert trials["varied"].value_counts().to_dict() == {"split": 2, "init": 2, "order": 2, "all": 2, "none": 3}
    repeats = trials[trials["varied"] == "none"]
    assert repeats["accuracy"].nunique() == repeats["macro_f1"].nunique() == 1
    record = json.loads((place / "variance.json").read_text())
    assert set(record["components"]) == {"split", "init", "order", "residual"}
    assert record["components"]["residual"]["sd"] == 0


def test_an_sr_method_is_swept_by_its_validation_psnr(place: Path, compose_params: Compose, quiet: Console) -> None:
    changes = ("sweep.target=train_sr", "sweep.arm=srgan", "sweep.learning_rates=[0.001]", "sweep.runs=3")
    sweep.run(Context(compose_params(*TINY, *changes), Layout("demo"), quiet))
    trials = pd.read_csv(place / "trials.csv")
    assert trials["psnr"].between(5, 60).all() and trials["psnr"].nunique() == 3
    assert {"sr_init", "order", "augment"} <= set(trials)
    assert json.loads((place / "variance.json").read_text())["metric"] == "psnr"


def test_a_search_averages_over_seeds_on_validation_data(
    place: Path, compose_params: Compose, quiet: Console, small_resnet: None
) -> None:
    params = compose_params(*TINY, "sweep.design=search", "sweep.trials=3", "sweep.runs=2")
    sweep.run(Context(params, Layout("demo"), quiet))
    found = json.loads((place / "search.json").read_text())
    assert set(found["best"]) == {"learning_rate", "weight_decay", "augmentation"}
    trials = pd.read_csv(place / "trials.csv")
    assert len(trials) == found["trials"] == 3
    assert found["accuracy"] == trials["accuracy"].max()
    assert (place / "search.png").is_file()


@pytest.mark.parametrize(
    ("named", "varied"),
    [([], {"split", "degrade", "sr_init", "init", "order", "augment"}), (["sweep.streams=[init]"], {"init"})],
)
def test_the_seeds_of_a_search_differ_in_the_streams_that_it_names(
    place: Path,
    compose_params: Compose,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
    named: list[str],
    varied: set[str],
) -> None:
    seen: list[StreamRoots] = []

    def tune(self: ClassifierSubject, drawn: object, roots: StreamRoots) -> dict[str, float]:
        seen.append(roots)
        return {"accuracy": 0.5, "macro_f1": 0.5}

    monkeypatch.setattr(ClassifierSubject, "tune", tune)
    params = compose_params(*TINY, "sweep.design=search", "sweep.trials=1", "sweep.runs=2", *named)
    sweep.run(Context(params, Layout("demo"), quiet))
    one, other = (dict(each.roots) for each in seen)
    assert {stream for stream in one if one[stream] != other[stream]} == varied


def test_test_images_are_not_looked_at_by_a_search(study: Study, inside: Study, compose_params: Compose) -> None:
    params = compose_params(*TINY, "sweep.design=search")
    rows = read_manifest(inside.layout.manifest)
    arms = {"raw": inside.layout.arm("raw")}
    subject = ClassifierSubject(params.classify["raw"], rows, arms, "paper", params.runtime)
    train, held_out = subject._validation(StreamRoots(1, {"split": 1}))
    tested = {row.id for row in rows if row.role("paper") == "classifier_test"}
    assert train and held_out
    assert not tested & {row.id for row in train + held_out}
    assert not {row.id for row in train} & {row.id for row in held_out}
    assert {row.label for row in held_out} == {row.label for row in rows}


def test_a_finished_sweep_trains_nothing_again(
    place: Path, compose_params: Compose, quiet: Console, small_resnet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = compose_params(*TINY, "sweep.learning_rates=[0.001]")
    sweep.run(Context(params, Layout("demo"), quiet))
    first = (place / "trials.csv").read_bytes()
    monkeypatch.setattr(ClassifierSubject, "measure", None)
    sweep.run(Context(params, Layout("demo"), quiet))
    assert (place / "trials.csv").read_bytes() == first


def test_trials_under_another_protocol_are_those_of_another_sweep(
    compose_raw: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sweep_plan, "inputs_of_sweep", lambda params, layout: []
    )  # it is the settings that tell them apart
    raw = compose_raw(*TINY, "study.protocol=[paper,official]")
    names = set()
    for protocol in ("paper", "official"):
        raw["classify"]["raw"]["protocols"] = [protocol]
        names.add(plan_sweep(parse_params(raw, "params.yaml"), Layout("demo")).name)
    assert len(names) == 2


def test_a_sweep_of_sr_is_another_one_where_the_originals_are_others(inside: Study, compose_params: Compose) -> None:
    read = inputs_of_sweep(compose_params(*TINY, "sweep.target=train_sr"), inside.layout)
    used = with_role(read_manifest(inside.layout.manifest), "paper", *SR_ROLES)
    assert used and {Path("set") / row.path for row in used} <= set(read)
