"""A small fabricated study: random but valid files as the stages write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from leukosr.config import Params
from leukosr.data.manifest import Row, write_manifest
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.layout import Layout
from leukosr.report.page import write_report
from leukosr.report.results import load_results
from leukosr.tables import read_own_table, write_frame

ARMS = ("raw", "bicubic", "srgan", "real_esrgan", "ground_truth")
CLASSES = ("eosinophil", "neutrophil")
SEEDS = (1, 2)
HISTORY = (
    "iteration,stage,learning_rate,loss_generator,loss_image,loss_perceptual,loss_adversarial,"
    "loss_total_variation,loss_discriminator,val_psnr,val_ssim,seconds"
)


@pytest.fixture(scope="session")
def params(compose_params: Callable[..., Params]) -> Params:
    """The demo study with two cells in its grid."""
    return compose_params("study=demo", "budget=smoke", "report.grid_cells=2")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The outputs root of a fabricated study `demo`, for one test to change."""
    return fabricate(tmp_path / "outputs")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure is one pixel: for tests of what a page says, since drawing takes half of its time."""
    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def page_to_look_at(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the fabricated study, undrawn, for browsers to look at."""
    root = tmp_path_factory.mktemp("study")
    results = load_results(Layout("demo", fabricate(root / "outputs")), params, "paper")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        return write_report(root / "reports", params, results, {"torch": "0"})


def with_few_images(folder: Path, *results: Path) -> list[Path]:
    """Copies of published results with the predictions of every eighth image: for tests that ask no verdict."""
    copies = []
    for original in results:
        copies.append(copytree(original, folder / original.name, ignore=lambda _, names: {"figures"} & {*names}))
        for path in (copies[-1] / "plots/confusion").glob("*.csv"):
            table = read_own_table(path)
            write_frame(path.with_suffix(".new"), table[table["image"].isin(sorted(table["image"].unique())[::8])])
            path.with_suffix(".new").replace(path)
        publish_scores(copies[-1])
    return copies


def publish_scores(result: Path) -> None:
    """Let summary.json tell of the predictions that a published result of one protocol has now."""
    file = result / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    for name, scores in summary.items():
        found = read_predictions(result / f"plots/confusion/{name}.csv", name)
        n_test, right = found.table["image"].nunique(), found.accuracies
        scores |= {"n_runs": found.runs, "n_test": n_test, "accuracy": right.mean()}
    file.write_text(json.dumps(summary), encoding="utf-8")


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save one pixel in place of every figure."""

    def save(figure: Figure, path: Path, **options: Any) -> None:
        Image.new("RGB", (1, 1)).save(path, format="png")

    monkeypatch.setattr(Figure, "savefig", save)


def fabricate(root: Path) -> Path:
    """Write a study `demo` below `root` and return `root`."""
    home = root / "demo"
    random = np.random.default_rng(0)
    ids = [f"TEST/{name}/{index}" for name in CLASSES for index in range(4)]
    _write_data(home, ids)
    for arm in ARMS:
        side = 8 if arm == "raw" else 32
        for image in ids:
            path = home / "arms" / arm / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
        _write_quality(home / "quality" / arm, arm, ids, random)
        for protocol in ("paper", "source_disjoint"):
            _write_classification(home / "classify" / arm / protocol, ids, random)
    for method in ("srgan", "real_esrgan"):
        _write_training(home / "sr" / method)
    return root


def _write_data(home: Path, ids: list[str]) -> None:
    home.mkdir(parents=True)
    rows = [
        Row(image, f"{image}.jpg", image.split("/")[1], source, 32, 32, {"paper": role, "source_disjoint": role})
        for image, source, role in zip(
            ids,
            ("s1", "s1", "s2", "s3", "s1", "s1", "s2", "s3"),
            2 * ("classifier_train", "classifier_train", "classifier_test", "sr_train"),
            strict=True,
        )
    ]
    write_manifest(home / "manifest.csv", rows)
    (home / "rejected.csv").write_text("path,reason\nTEST/eosinophil/bad.jpg,cannot be decoded\n")


def _write_quality(folder: Path, arm: str, ids: list[str], random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    exact = arm == "ground_truth"
    psnr = [""] * len(ids) if exact else list(random.uniform(20, 30, len(ids)))
    rows = {"image": ids, "class": "x", "role": "classifier_test", "psnr": psnr, "ssim": 0.5, "mse": 1.0,
            "consistency": 2.0}  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "per_image.csv", index=False)
    metrics = {
        "n": len(ids),
        "precision": "fp32" if arm == "srgan" else None,
        "psnr": None if exact else 24.125,
        "psnr_sd": None if exact else 1.5,
    }
    metrics |= {"ssim": 0.5, "ssim_sd": 0.0, "mse": 1.0, "mse_sd": 0.0,
                "consistency": 2.0, "consistency_sd": None}  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))


def _write_classification(folder: Path, ids: list[str], random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    test = [image for image in ids if image.endswith("2")]
    rows = [
        (image, "", seed, image.split("/")[1], random.choice(CLASSES), 0.5, 0.5) for seed in SEEDS for image in test
    ]
    columns = ["image", "source", "seed", "true", "predicted", *(f"p_{name}" for name in CLASSES)]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "predictions.csv", index=False)
    history = [(seed, epoch, 1 / epoch, 0.5, 0.001, 1.0) for seed in SEEDS for epoch in (1, 2, 3)]
    columns = ["seed", "epoch", "loss", "accuracy", "learning_rate", "seconds"]
    pd.DataFrame(history, columns=columns).to_csv(folder / "history.csv", index=False)
    scores = {"accuracy": 0.625, "macro_precision": 0.6, "macro_recall": 0.6, "macro_f1": 0.5725}
    metrics: dict[str, Any] = scores | {f"{name}_sd": 0.125 for name in scores}
    per_class = {name: {"precision": None, "recall": 0.5, "f1": 0.4, "support": 1} for name in CLASSES}
    metrics |= {"n_runs": 2, "n_train": 4, "n_test": 2, "n_test_sources": None, "folds": None, "per_class": per_class}
    means = {"macro_precision": 0.5, "macro_recall": 0.75}
    metrics |= {"per_seed": {"1": {"accuracy": 0.5, **means}, "2": {"accuracy": 0.75, **means}}}
    metrics |= {"epochs": 3, "batch": 2, "precision": "fp32", "seconds": 1.0}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def _write_training(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text(
        f"{HISTORY}\n10,net,1e-3,0.5,0.5,,,,,20,0.5,1\n20,net,1e-3,0.4,0.4,,,,,21,0.6,2\n"
        "30,gan,1e-4,0.9,0.4,0.2,0.7,,0.6,20.5,0.55,3\n"
    )
    metrics = {"iterations": 30, "best_iteration": 20, "best_val_psnr": 21.0, "best_val_ssim": 0.6,
               "precision": "fp32"}  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    Image.new("RGB", (64, 32), "pink").save(folder / "samples.png")
