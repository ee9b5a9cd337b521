"""What the stages write: the files, their columns and how they fit together."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from leukosr.data.manifest import read_manifest, with_role
from leukosr.engine.precision import resolve
from leukosr.engine.weights import read_tensors
from leukosr.images.resampling import resize
from leukosr.superres.weights import load_generator

from .conftest import ARMS, Study

CLASSES = ["basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil"]
METHODS = ("srgan", "real_esrgan")
SCORES = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "f1_of_means")


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False)


def values(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def ids_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix().removesuffix(".png") for path in folder.rglob("*.png")}


def ids_with(study: Study, *roles: str) -> list[str]:
    return [row.id for row in with_role(read_manifest(study.outputs / "manifest.csv"), "paper", *roles)]


def test_manifest_lists_every_image_with_its_role(study: Study) -> None:
    rows = table(study.outputs / "manifest.csv")
    assert list(rows.columns) == ["id", "path", "class", "source", "width", "height", "mask"]
    assert all((study.folder / study.params.prepare.root / mask).is_file() for mask in rows["mask"])
    assert len(rows) == 5 * (2 + 2) * 2
    assert list(rows["id"]) == sorted(rows["id"])
    roles = table(study.outputs / "roles.csv")
    assert list(roles.columns) == ["image", "protocol", "role"]
    assert list(roles["image"]) == list(rows["id"]) and set(roles["protocol"]) == {"paper"}
    counts = rows.assign(role=roles["role"]).groupby(["class", "role"]).size().unstack(fill_value=0)
    assert list(counts.index) == CLASSES
    for role, count in {"sr_train": 2, "sr_val": 1, "classifier_train": 3, "classifier_test": 1, "unused": 1}.items():
        assert (counts[role] == count).all()
    assert (study.outputs / "rejected.csv").read_text() == "path,reason\n"
    assert (study.outputs / "distribution.png").exists()


def test_lr_images_are_a_quarter_of_the_size_for_every_role_in_use(study: Study) -> None:
    wanted = ids_with(study, "sr_train", "sr_val", "classifier_train", "classifier_test")
    assert ids_below(study.outputs / "lr") == set(wanted)
    assert all(pixels(study.outputs / "lr" / f"{name}.png").shape == (16, 16, 3) for name in wanted)
    assert (study.outputs / "degradation.png").exists()


@pytest.mark.parametrize("method", METHODS)
def test_sr_training_leaves_loadable_weights_history_and_figures(method: str, study: Study) -> None:
    folder = study.outputs / "sr" / method
    history = table(folder / "history.csv")
    losses = {"generator", "image", "adversarial", "discriminator"}
    losses |= {"perceptual", "total_variation"} if method == "srgan" else set()
    measured = {"iteration", "stage", "learning_rate", "val_psnr", "val_ssim", "seconds"}
    assert set(history.columns) == measured | {f"loss_{name}" for name in losses}
    iterations = {"srgan": [2, 4], "real_esrgan": [2, 3, 4, 5]}[method]
    assert list(history["iteration"]) == iterations
    metrics = values(folder / "metrics.json")
    assert metrics["iterations"] == iterations[-1]
    assert metrics["best_iteration"] in iterations
    assert metrics["best_val_psnr"] == pytest.approx(history["val_psnr"].max())
    assert metrics["last_val_psnr"] == pytest.approx(history["val_psnr"].iloc[-1])
    assert metrics["last_val_ssim"] == pytest.approx(history["val_ssim"].iloc[-1])
    assert (metrics["n_train"], metrics["n_val"]) == (10, 5)
    for name in ("best", "last"):
        loaded = load_generator(folder / f"{name}.safetensors")
        assert (loaded.architecture, loaded.scale) == (method, 4)
        assert sum(p.numel() for p in loaded.model.parameters()) == metrics["generator_parameters"]
    for figure in ("curves.png", "samples.png"):
        assert pixels_of_any_mode(folder / figure).size > 0


def pixels_of_any_mode(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("arm", ARMS)
def test_arm_has_every_classifier_image_at_its_size(arm: str, study: Study) -> None:
    wanted = ids_with(study, "classifier_train", "classifier_test")
    assert ids_below(study.outputs / "arms" / arm) == set(wanted)
    side = 16 if arm == "raw" else 64
    for name in wanted:
        image = pixels(study.outputs / "arms" / arm / f"{name}.png")
        assert image.shape == (side, side, 3)
        lr = pixels(study.outputs / "lr" / f"{name}.png")
        if arm == "raw":
            assert np.array_equal(image, lr)
        if arm == "bicubic":
            assert np.array_equal(image, resize(lr, (64, 64), "opencv_bicubic"))
        if arm == "ground_truth":
            assert np.array_equal(image, pixels(study.folder / "set" / f"{name}.jpg"))


@pytest.mark.parametrize("arm", ARMS)
def test_quality_has_a_row_an_image_and_their_means(arm: str, study: Study) -> None:
    rows = table(study.outputs / "quality" / arm / "per_image.csv")
    metrics = values(study.outputs / "quality" / arm / "metrics.json")
    assert list(rows.columns) == ["image", "class", "role", "psnr", "ssim", "mse", "consistency"]
    assert sorted(rows["image"]) == sorted(ids_with(study, "classifier_train", "classifier_test"))
    figures = ("psnr", "ssim", "mse", "consistency")
    trained = {"input_psnr", "did_not_train"} if arm in ("srgan", "real_esrgan") else set()
    assert metrics.keys() == {"n", "precision", *figures, *(f"{name}_sd" for name in figures), *trained}
    if arm == "raw":
        assert not rows["consistency"].any()  # the low-resolution images themselves
    assert metrics["n"] == len(rows) == 20
    if arm == "ground_truth":
        assert set(rows["psnr"]) == {""}
        assert (metrics["psnr"], metrics["psnr_sd"], metrics["ssim"], metrics["mse"]) == (None, None, 1.0, 0.0)
        return
    for name in figures:
        assert metrics[name] == pytest.approx(rows[name].mean())
        assert metrics[f"{name}_sd"] == pytest.approx(rows[name].std())
    np.testing.assert_allclose(rows["psnr"], 10 * np.log10(255**2 / rows["mse"]))


@pytest.mark.parametrize("arm", ARMS)
def test_classifiers_leave_predictions_history_weights_and_metrics(arm: str, study: Study) -> None:
    folder = study.outputs / "classify" / arm / "paper"
    predictions, history = table(folder / "predictions.csv"), table(folder / "history.csv")
    probabilities = [f"p_{name}" for name in CLASSES]
    assert list(predictions.columns) == ["image", "source", "seed", "true", "predicted", *probabilities]
    test = ids_with(study, "classifier_test")
    for seed in (1, 2):
        own = predictions[predictions["seed"] == seed]
        assert list(own["image"]) == test
        assert [image.split("/")[1] for image in own["image"]] == list(own["true"])
    np.testing.assert_allclose(predictions[probabilities].sum(axis=1), 1, atol=1e-6)
    likeliest = predictions[probabilities].idxmax(axis=1)
    assert [str(name).removeprefix("p_") for name in likeliest] == list(predictions["predicted"])
    assert list(history.columns) == ["seed", "epoch", "loss", "accuracy", "learning_rate", "seconds"]
    assert list(zip(history["seed"], history["epoch"], strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for seed in (1, 2):
        assert classes_in(folder / "weights" / f"seed-{seed}.safetensors") == CLASSES
    for figure in ("confusion.png", "curves.png"):
        assert (folder / figure).exists()


def classes_in(weights: Path) -> list[str]:
    _, header = read_tensors(weights, required=("architecture", "classes"))
    assert header["architecture"] == "resnet50"
    return json.loads(header["classes"])


@pytest.mark.parametrize("arm", ARMS)
def test_classification_metrics_are_those_of_the_predictions(arm: str, study: Study) -> None:
    folder = study.outputs / "classify" / arm / "paper"
    predictions, metrics = table(folder / "predictions.csv"), values(folder / "metrics.json")
    correct = predictions["true"] == predictions["predicted"]
    accuracies = correct.groupby(predictions["seed"]).mean()
    assert metrics["accuracy"] == pytest.approx(accuracies.mean())
    assert metrics["accuracy_sd"] == pytest.approx(accuracies.std())
    assert {seed: run["accuracy"] for seed, run in metrics["per_seed"].items()} == {
        str(seed): pytest.approx(value) for seed, value in accuracies.items()
    }
    # one test image a class, so recall is plain to see and macro recall is the accuracy
    assert metrics["macro_recall"] == pytest.approx(metrics["accuracy"])
    recalls = correct.groupby(predictions["true"]).mean()
    assert list(metrics["per_class"]) == CLASSES
    for name in CLASSES:
        assert metrics["per_class"][name].keys() == {"precision", "recall", "f1", "support"}
        assert metrics["per_class"][name]["recall"] == pytest.approx(recalls[name])
        assert metrics["per_class"][name]["support"] == 1
    assert (metrics["n_runs"], metrics["n_train"], metrics["n_test"]) == (2, 15, 5)
    assert metrics["n_test_sources"] == predictions["source"].nunique()
    assert (metrics["epochs"], metrics["batch"]) == (2, 8)
    assert all(0 <= metrics[name] <= 1 for name in SCORES)


def test_report_shows_all_arms_and_feeds_dvc_plots(study: Study) -> None:
    folder = study.folder / "reports" / "demo"
    assert "Real-ESRGAN" in (folder / "index.html").read_text()
    assert values(folder / "summary.json")
    assert set(values(folder / "scores" / "raw.json")) == {"accuracy", "macro_f1", "psnr", "ssim"}
    for plot in ("confusion", "training"):
        assert {path.stem for path in (folder / "plots" / plot).iterdir()} == set(ARMS)
    assert {path.stem for path in (folder / "plots" / "super_resolution").iterdir()} == set(METHODS)


def test_the_precision_that_was_computed_in_stands_in_every_record(inside: Study) -> None:
    native = resolve("auto", torch.device("cpu"))
    plain = {inside.outputs / "quality" / arm for arm in ("raw", "bicubic", "ground_truth")}  # no network made these
    records = sorted(inside.outputs.rglob("metrics.json"))
    assert {values(path)["precision"] for path in records if path.parent not in plain} == {native}
    assert {values(folder / "metrics.json")["precision"] for folder in plain} == {None}
    assert values(inside.outputs / "sweep" / "variance.json")["precision"] == native
    weights = sorted(inside.outputs.rglob("*.safetensors"))
    assert {read_tensors(path)[1]["precision"] for path in weights} == {native}
    runs = mlflow.search_runs(experiment_names=["demo"], output_format="list")
    logged = {value for run in runs for name, value in run.data.params.items() if name.endswith("precision")}
    assert logged == {native}
    assert f"All networks computed in {native}." in (inside.folder / "reports" / "demo" / "index.html").read_text()


def test_nothing_half_written_and_no_resume_state_is_left(study: Study) -> None:
    hidden = [path for path in study.folder.rglob(".*") if path.name != ".leukosr"]
    assert hidden == []
    resume = study.folder / ".leukosr" / "resume"
    assert not resume.exists() or list(resume.iterdir()) == []


def test_every_stage_says_one_line_about_its_result(study: Study) -> None:
    said = " ".join(study.printed.split())
    counts = "5 classifier_test, 15 classifier_train, 10 sr_train, 5 sr_val, 5 unused"
    assert f"prepare: 40 images ({counts}), 0 left out" in said
    assert "degrade: 35 images of 16x16 (capstone, noise gaussian)" in said
    for arm in ARMS:
        assert f"upscale {arm}: 20 images" in said
        assert f"quality {arm}: PSNR" in said
        assert f"classify {arm} (paper): accuracy" in said


def test_mlflow_holds_a_run_an_arm_with_a_child_a_seed(inside: Study) -> None:
    runs = {run.info.run_name: run for run in mlflow.search_runs(experiment_names=["demo"], output_format="list")}
    names = {f"classify {arm}" for arm in ARMS} | {f"train_sr {method}" for method in METHODS}
    names |= {f"classify {arm} seed {seed}" for arm in ARMS for seed in (1, 2)}
    names |= {"sweep raw"} | {f"sweep raw trial {number}" for number in range(4)}
    assert set(runs) == names
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for arm in ARMS:
        outer = runs[f"classify {arm}"]
        metrics = values(inside.outputs / "classify" / arm / "paper" / "metrics.json")
        assert outer.data.metrics["accuracy"] == pytest.approx(metrics["accuracy"])
        assert outer.data.tags["arm"] == arm
        assert not [name for name in outer.data.metrics if name.startswith("system/")]
        assert outer.inputs.dataset_inputs
        for seed in (1, 2):
            inner = runs[f"classify {arm} seed {seed}"]
            assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id
            assert inner.data.params["seed"] == str(seed)
            assert inner.data.metrics["accuracy"] == pytest.approx(metrics["per_seed"][str(seed)]["accuracy"])
    for run in runs.values():
        assert (run.data.params["study"], run.data.params["budget"]) == ("demo", inside.params.budget.name), run.info
        assert {"arm", "precision"} <= set(run.data.params), run.info
    trained = runs["train_sr real_esrgan"]
    assert trained.data.params["stages.gan.iterations"] == "2"
    assert trained.data.metrics["last_val_psnr"] == pytest.approx(
        values(inside.outputs / "sr" / "real_esrgan" / "metrics.json")["last_val_psnr"]
    )
