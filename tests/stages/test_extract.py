"""Cells cut out of an arm's images are an arm, too, and none is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.config import Params
from leukosr.data.manifest import is_tested, read_manifest
from leukosr.errors import LeukoError
from leukosr.images.extraction import EXTRACTORS
from leukosr.images.reading import read_rgb
from leukosr.layout import Layout
from leukosr.report.extraction import extraction_blocks
from leukosr.report.page import write_report
from leukosr.report.results import load_results
from leukosr.stages import classify, extract, prepare, synthesize
from leukosr.stages.context import Context
from leukosr.tables import read_own_table

from .conftest import TINY

SMALL = [each for each in TINY if not each.startswith(("arms", "train_sr"))]


def context_of(params: Params) -> Context:
    return Context(params, Layout("demo"), Console(file=io.StringIO(), width=300))


@pytest.fixture
def prepared(compose_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    """A drawn set of which one test image shows nothing."""
    monkeypatch.chdir(tmp_path)
    params = compose_params(*SMALL, "arms=[cells]", "extractor@extract.cells.extractor=otsu", "study.seeds=[1]")
    context = context_of(params)
    synthesize.run(context, "demo")
    prepare.run(context)
    rows = read_manifest(context.layout.manifest)
    empty = next(row for row in rows if is_tested(row, "paper"))
    blank = np.full((empty.height, empty.width, 3), 220, np.uint8)
    Image.fromarray(blank).save(Path("set", empty.path), quality=95)
    return context


@pytest.mark.usefixtures("small_resnet", "mlflow_store")
def test_a_test_image_without_a_cell_is_kept_whole_counted_and_classified(prepared: Context) -> None:
    extract.run(prepared, "cells")
    classify.run(prepared, "cells")
    folder, rows = prepared.layout.arm("cells"), read_manifest(prepared.layout.manifest)
    table = read_own_table(folder / "extraction.csv")
    assert tuple(table.columns) == extract.COLUMNS
    missed = table[table["status"] == "not_found"]
    assert len(missed) == 1
    assert (missed["area"] == "").all()
    metrics = json.loads((folder / "metrics.json").read_text())
    tested = {row.id for row in rows if is_tested(row, "paper")}
    assert (metrics["n"], metrics["not_found"]) == (len(table), 1)
    assert metrics["tested"]["paper"] == {
        "n": len(tested), "not_found": 1, "not_found_by_class": metrics["not_found_by_class"]
    }  # fmt: skip
    whole = read_rgb(folder / f"{missed['image'].iloc[0]}.png")
    assert whole.shape == (128, 128, 3)
    assert abs(whole.astype(int) - 220).max() <= 2
    page = write_report(
        prepared.layout.report, prepared.params, load_results(prepared.layout, prepared.params, "paper")
    )
    assert "Extracted cells" in page.read_text(encoding="utf-8")  # of a study without any other arm
    results = load_results(prepared.layout, prepared.params, "paper")
    (block,) = extraction_blocks(prepared.layout.report, prepared.params, results, "", "smoke")
    assert list(block.pictures) == ["samples_cells"]
    assert (prepared.layout.report / "figures" / "samples_cells.png").is_file()
    assert 'src="data:image/jpeg' in page.read_text(encoding="utf-8"), "a photograph"
    (later,) = extraction_blocks(prepared.layout.report, prepared.params, results, "_official", "smoke")
    assert (later.tables, later.pictures) == (block.tables, {}), "one protocol shows them"
    assert block.tables[0].rows == [
        ["cells", "original files", "otsu", f"1 of {len(table)}", f"1 of {len(tested)}", f"{missed['class'].iloc[0]} 1"]
    ]
    predictions = read_own_table(prepared.layout.classify("cells", "paper") / "predictions.csv")
    assert set(predictions["image"]) == tested


def test_cells_of_an_arm_with_sr_seeds_are_cut_out_once_per_network(
    prepared: Context, compose_params: Callable[..., Params]
) -> None:
    params = compose_params(
        *SMALL, "arms=[srgan,cells]", "extractor@extract.cells.extractor=otsu", "study.sr_seeds=[3,4]",
        "extract.cells.arm=srgan", "extract.cells.reads=outputs/demo/arms/srgan",
    )  # fmt: skip
    rows = read_manifest(prepared.layout.manifest)
    for seed in (3, 4):
        for row in rows:
            image = np.full((64, 64, 3), 200 + seed, np.uint8)
            cv2.circle(image, (32, 32), 12, (120, 60, 180), cv2.FILLED)
            file = prepared.layout.arm(f"srgan/seed-{seed}") / f"{row.id}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
    extract.run(context_of(params), "cells")
    table = read_own_table(prepared.layout.arm("cells") / "extraction.csv")
    assert set(table["sr_seed"]) == {"3", "4"}
    assert set(table["status"]) == {"found"}
    assert params.networks_of("cells") == (3, 4)
    assert params.source_arm("cells") == params.upscale["srgan"]
    assert {each.name for each in prepared.layout.arm("cells").glob("seed-*")} == {"seed-3", "seed-4"}


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["extract.cells.arm=none"], "extract.cells.arm = 'none': no such arm; upscale has raw"),
        (["extract.cells.arm=raw"], "extract.cells.reads = set: must be outputs/demo/arms/raw"),
        (["extract.cells.extractor.dilate=-1"], "extract.cells.extractor.*dilate"),
        (["extract.cells.extractor.method=magic"], "extract.cells.extractor"),
        (["+extract.cells.extractor.lower=[80,180,180]"], r"lower = \(80, 180, 180\) must not exceed upper"),
        (["+extract.raw=${extract.cells}"], "upscale has an arm of this name, too"),
    ],
)
def test_a_wrong_setting_is_named(compose_params: Callable[..., Params], overrides: list[str], sentence: str) -> None:
    with pytest.raises(LeukoError, match=sentence):
        compose_params(*SMALL, "arms=[raw,cells]", *overrides)


def test_unknown_cells_are_refused(prepared: Context) -> None:
    with pytest.raises(LeukoError, match=r"unknown cells 'cels'; params\.extract has cells; did you mean cells\?"):
        extract.run(prepared, "cels")


def test_any_folder_gives_the_agreement_of_every_extractor_with_its_masks(tmp_path: Path) -> None:
    for place in ("in/a", "masks/a"):
        (tmp_path / place).mkdir(parents=True)
    image = np.full((240, 320, 3), (235, 225, 215), np.uint8)
    cv2.circle(image, (160, 120), 40, (140, 110, 200), cv2.FILLED)
    Image.fromarray(image).save(tmp_path / "in/a/1.png")
    Image.fromarray(np.where(image[..., 0] == 140, 255, 0).astype(np.uint8)).save(tmp_path / "masks/a/1.png")
    Image.fromarray(np.full((240, 320, 3), 220, np.uint8)).save(tmp_path / "in/a/2.png")
    out = tmp_path / "out"
    arguments = ["extract", str(tmp_path / "in"), "--masks", str(tmp_path / "masks"), "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2 images, 1 with masks" in done.output
    table = read_own_table(out / "extraction.csv")
    assert list(table["method"].unique()) == list(EXTRACTORS)
    assert list(table["status"]) == ["found", "not_found"] * len(EXTRACTORS)
    assert (table.loc[table["status"] == "found", "coverage"] == "1.0000").all()
    assert sum(1 for _ in out.rglob("*.png")) == 2 * len(EXTRACTORS)
    inside = ["extract", str(tmp_path / "in"), "--out", str(tmp_path / "in/cut")]
    for _ in range(2):  # the second time the folder holds the cells of the first
        done = CliRunner().invoke(app, inside)
        assert done.exit_code == 0 and "2 images" in done.output, done.output


def test_a_folder_without_matching_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "1.png")
    with pytest.raises(LeukoError, match="holds no mask of an image in"):
        extract.run_folder(tmp_path, tmp_path / "empty", tmp_path / "out", Console(file=io.StringIO()))
