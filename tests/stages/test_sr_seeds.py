"""Several SR seeds: every SR method is trained once per seed, and the classifiers run within each of its networks."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from rich.console import Console

from leukosr.config import Params
from leukosr.errors import Diverged, LeukoError
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.layout import Layout
from leukosr.stages import train_sr
from leukosr.stages.context import Context
from leukosr.superres.trainer import SRTraining
from leukosr.tracking.sync import sync

from .conftest import TINY, Study, run_stages

NESTED = (
    *(each for each in TINY if "real_esrgan" not in each), "arms=[bicubic,srgan]", "study.sr_seeds=[1, 2]",
    "sweep.arm=srgan", "budget.classify.epochs=1",
)  # fmt: skip


@pytest.fixture(scope="session")
def nested(
    compose_params: Callable[..., Params],
    mlflow_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    session_small_resnet: Callable[[pytest.MonkeyPatch], None],
) -> Study:
    """A finished study with two SR seeds and two classifier seeds."""
    folder, params = tmp_path_factory.mktemp("nested"), compose_params(*NESTED)
    shutil.copyfile(mlflow_template, folder / "mlflow.db")
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        session_small_resnet(patch)
        run_stages(params, Layout("demo"), console)
    return Study(params, folder, printed.getvalue())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_each_sr_seed_trains_the_network_that_it_would_train_alone(
    nested: Study, compose_params: Callable[..., Params], quiet: Console, tmp_path: Path, mlflow_store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(nested.folder)
    changes = [each for each in NESTED if not each.startswith("study.sr_seeds")]
    for seed in (1, 2):
        alone = compose_params(*changes, f"train_sr.srgan.seed={seed}")
        train_sr.run(Context(alone, nested.layout, quiet, tmp_path / str(seed)), "srgan")
        made = nested.outputs / "sr" / "srgan" / f"seed-{seed}" / "last.safetensors"
        assert digest(made) == digest(tmp_path / str(seed) / "last.safetensors")
    assert digest(tmp_path / "1" / "last.safetensors") != digest(tmp_path / "2" / "last.safetensors")


def test_the_summary_of_a_training_is_the_mean_of_its_networks(nested: Study) -> None:
    folder = nested.outputs / "sr" / "srgan"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "seed-1", "seed-2"]
    summed, each = read(folder / "metrics.json"), [read(folder / f"seed-{seed}" / "metrics.json") for seed in (1, 2)]
    assert summed["sr_seeds"] == [1, 2]
    assert summed["iterations"] == each[0]["iterations"]
    assert summed["last_val_psnr"] == pytest.approx((each[0]["last_val_psnr"] + each[1]["last_val_psnr"]) / 2)
    assert summed["seconds"] == pytest.approx(each[0]["seconds"] + each[1]["seconds"])


def test_an_arm_by_a_training_has_images_by_each_network_and_others_have_one_set(nested: Study) -> None:
    arms = nested.outputs / "arms"
    first, second = ({p.name: digest(p) for p in (arms / "srgan" / f"seed-{k}").rglob("*.png")} for k in (1, 2))
    assert first.keys() == second.keys()
    assert first != second
    assert not list((arms / "bicubic").glob("seed-*"))


def test_quality_has_a_row_per_network_and_image_and_the_mean_over_networks(nested: Study) -> None:
    folder = nested.outputs / "quality"
    table, metrics = pd.read_csv(folder / "srgan" / "per_image.csv"), read(folder / "srgan" / "metrics.json")
    assert sorted(table["sr_seed"].unique()) == [1, 2]
    assert len(table) == 2 * metrics["n"]
    assert metrics["psnr"] == pytest.approx(table["psnr"].mean())
    assert metrics["psnr_sd"] == pytest.approx(table.groupby("image")["psnr"].mean().std())
    means = table.groupby("sr_seed")["ssim"].mean()
    assert metrics["per_sr_seed"]["2"]["ssim"] == pytest.approx(means[2])
    assert "sr_seed" not in pd.read_csv(folder / "bicubic" / "per_image.csv")
    assert "per_sr_seed" not in read(folder / "bicubic" / "metrics.json")


def test_classifiers_run_within_each_network_and_compare_with_one_set_of_plain_runs(nested: Study) -> None:
    folders = {name: nested.outputs / "classify" / name / "paper" for name in ("srgan", "bicubic")}
    table = pd.read_csv(folders["srgan"] / "predictions.csv")
    runs = [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert sorted(set(zip(table["seed"], table["sr_seed"], strict=True))) == runs
    assert "sr_seed" not in pd.read_csv(folders["bicubic"] / "predictions.csv")
    assert read(folders["srgan"] / "metrics.json")["n_runs"] == 4
    assert read(folders["bicubic"] / "metrics.json")["n_runs"] == 2
    assert len(list((folders["srgan"] / "weights").iterdir())) == 4
    assert "sr_seed" in pd.read_csv(folders["srgan"] / "history.csv")
    first, second = (read_predictions(folders[name] / "predictions.csv", name) for name in ("srgan", "bicubic"))
    found = pair(first, second)
    assert (found.paired, found.networks, found.left_out) == (True, 2, 0)
    assert [(run.seed, run.sr_seed) for run in found.runs] == runs


def test_the_report_counts_runs_and_names_the_sr_seeds(nested: Study) -> None:
    folder = nested.folder / nested.layout.report
    table = pd.read_csv(folder / "comparison.csv", index_col="experiment")
    assert (table.loc["srgan", "n_runs"], table.loc["bicubic", "n_runs"]) == (4, 2)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "trained with 2 SR seeds (1, 2)" in page
    assert "Classifiers of 5 classes were trained in 2 experiments" in page


def test_every_network_is_logged_at_once_or_later(
    nested: Study, mlflow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nested.folder)
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{nested.folder / 'mlflow.db'}")
    params_file = nested.folder / "params.yaml"
    params_file.write_text(yaml.safe_dump(nested.params.model_dump(mode="json")), encoding="utf-8")
    found = sync(nested.params, params_file, nested.layout)
    assert (found.logged, found.unfinished, found.outdated) == ([], [], [])
    assert found.held[:2] == ["train_sr srgan SR seed 1", "train_sr srgan SR seed 2"]
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    stage = next(run for run in runs if run.info.run_name == "train_sr srgan")
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == stage.info.run_id]
    assert sorted(run.data.params["seed"] for run in below) == ["1", "2"]
    assert stage.data.metrics["last_val_psnr"] == pytest.approx(sum(r.data.metrics["last_val_psnr"] for r in below) / 2)
    shutil.copyfile(mlflow_template, tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    assert "classify srgan" in sync(nested.params, params_file, nested.layout).logged


@pytest.mark.slow
def test_a_cut_stage_keeps_the_networks_that_are_finished(
    nested: Study, quiet: Console, tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(nested.folder)
    run, step = SRTraining.run, SRTraining._step
    steps: list[object] = []

    def cut(training: SRTraining, *arguments: Any) -> None:
        if training.seed == 2:
            raise KeyboardInterrupt
        run(training, *arguments)

    def counted(training: SRTraining, *arguments: Any) -> dict[str, float]:
        steps.append(training.seed)
        return step(training, *arguments)

    monkeypatch.setattr(SRTraining, "_step", counted)
    context, made = Context(nested.params, nested.layout, quiet, tmp_path / "sr"), nested.outputs / "sr" / "srgan"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SRTraining, "run", cut)
        train_sr.run(context, "srgan")
    assert not (tmp_path / "sr").exists()
    assert set(steps) == {1}
    steps.clear()
    train_sr.run(context, "srgan")
    assert set(steps) == {2}
    for seed in (1, 2):
        own = tmp_path / "sr" / f"seed-{seed}"
        assert digest(own / "last.safetensors") == digest(made / f"seed-{seed}" / "last.safetensors")
        assert len(pd.read_csv(own / "history.csv")) == len(pd.read_csv(made / f"seed-{seed}" / "history.csv"))


@pytest.mark.slow
def test_after_a_network_diverged_in_bf16_the_finished_ones_do_not_bar_fp32(
    nested: Study, compose_params: Callable[..., Params], quiet: Console, tmp_path: Path, mlflow_store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(nested.folder)
    run = SRTraining.run

    def diverges(training: SRTraining, *arguments: Any) -> None:
        if training.seed == 2:
            raise Diverged("set precision to fp32")
        run(training, *arguments)

    def train(precision: str) -> None:
        params = compose_params(*NESTED, f"train_sr.srgan.precision={precision}")
        train_sr.run(Context(params, nested.layout, quiet, tmp_path / "sr"), "srgan")

    with monkeypatch.context() as patch, pytest.raises(Diverged):
        patch.setattr(SRTraining, "run", diverges)
        train("bf16")
    train("fp32")
    assert read(tmp_path / "sr" / "metrics.json")["sr_seeds"] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("study.sr_seeds=[1, 1]",), r"sr_seeds must differ from each other, got \[1, 1\]"),
        (("study.sr_seeds=[]",), "study.sr_seeds"),
        (("study.sr_seeds=[one]",), "study.sr_seeds"),
        (("study.sr_seeds=[1, 2]", "train_sr.srgan.seed=3"), r"train_sr.srgan.seed = 3: study.sr_seeds = \[1, 2\]"),
        (("study.sr_seeds=[1, 2]", "arms=[raw,bicubic]"), "study.sr_seeds: this study trains no SR method"),
    ],
)
def test_sr_seeds_that_make_no_sense_are_refused(
    compose_params: Callable[..., Params], changes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(LeukoError, match=said):
        compose_params("study=demo", *changes)
