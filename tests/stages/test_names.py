"""Class and file names that mean something to a spreadsheet, a terminal, a page or a formula are names all the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.config import Params
from leukosr.data.manifest import read_manifest
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.layout import Layout
from leukosr.report.results import load_results
from leukosr.stages import classify, degrade, prepare, quality, upscale
from leukosr.stages.context import Context
from leukosr.terminal import Terminal

from .conftest import TINY

NAMES = ("0", "1.0", "=1+1", "-cmd", "[red]x", r"$\frac{$", "\x1b[2J", "a\rb", "<b>", ":cat:", "'@")


@pytest.mark.usefixtures("small_resnet", "mlflow_store")
def test_a_study_of_oddly_named_classes_scores_like_any_other(
    compose_params: Callable[..., Params], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for level, name in enumerate(NAMES):
        for number in range(4):
            file = tmp_path / "set" / name / f"{name}{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((64, 64, 3), 20 * level, np.uint8) + rng.integers(0, 9, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file)
    tiny = [each for each in TINY if not each.startswith(("arms", "train_sr"))]
    params = compose_params(*tiny, "arms=[raw]", "study.seeds=[1]", "prepare.sr_fraction=0.3", "prepare.train=null",
                            "prepare.test=null", "prepare.reference=null", "prepare.classes=null")  # fmt: skip
    said = io.StringIO()
    console, layout = Terminal(file=said, width=400), Layout("demo")
    context = Context(params, layout, console)
    prepare.run(context)
    degrade.run(context)
    upscale.run(context, "raw")
    quality.run(context, "raw")
    classify.run(context, "raw")
    assert {row.label for row in read_manifest(layout.manifest)} == set(NAMES)
    results = load_results(layout, params, "paper")
    assert set(results.classes) == set(results.experiments["raw"].predictions["true"])
    per_class = results.experiments["raw"].scores.per_class
    assert {name: scores.support for name, scores in per_class.items()} == dict.fromkeys(NAMES, 1)
    predictions = layout.classify("raw", "paper") / "predictions.csv"
    assert set(read_predictions(predictions, "raw").classes) == {*NAMES}
    for path in layout.root.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as table:
            cells = [cell for row in csv.reader(table) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))], path
    assert "\x1b" not in said.getvalue()
    other = predictions.with_name("other.csv")
    other.write_bytes(predictions.read_bytes())
    assert CliRunner().invoke(app, ["compare", str(predictions), str(other)]).exit_code == 0
