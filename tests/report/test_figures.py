"""Figures are deterministic files that carry their budget and show what they claim."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.report import figures
from leukosr.report.charts import class_counts
from leukosr.report.curves import sr_curves
from leukosr.report.grids import CELL_PIXELS, read_cell
from leukosr.report.results import StudyResults, load_results
from leukosr.report.style import ARM_COLOURS, arm_colour, budget_note

from .conftest import ARMS

NOTE = "smoke budget: a note under every figure"


@pytest.fixture
def results(outputs: Path) -> StudyResults:
    return load_results(Layout("demo", outputs), ARMS, "paper")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts of the figures that are saved while the test runs."""
    texts: list[str] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **kwargs: object) -> None:
        texts.extend(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    return texts


def draw(name: str, results: StudyResults, path: Path) -> None:
    raw, images = results.classifiers["raw"], [np.full((8, 8, 3), level, np.uint8) for level in (20, 200)]
    cell = read_cell(results.layout, "TEST/eosinophil/2", ARMS, 0.4, "eosinophil", {})
    calls: dict[str, Callable[[], None]] = {
        "accuracy": lambda: figures.accuracy_figure(path, results, NOTE),
        "quality": lambda: figures.quality_figure(path, results, NOTE),
        "confusion": lambda: figures.confusion_figure(path, "raw", raw.predictions, results.classes, NOTE),
        "classes": lambda: figures.class_distribution(path, results.manifest, NOTE, "paper"),
        "sr_curves": lambda: figures.sr_curves(path, "srgan", results.methods["srgan"].history, NOTE),
        "classifier": lambda: figures.classifier_curves(path, "raw", raw.history, NOTE),
        "grid": lambda: figures.arm_grid(path, [cell], NOTE),
        "pairs": lambda: figures.degradation_grid(path, images, images, ["a", "b"], NOTE),
        "samples": lambda: figures.sample_grid(path, images, images, images, NOTE),
    }
    calls[name]()


@pytest.mark.parametrize(
    "name",
    ["accuracy", "quality", "confusion", "classes", "sr_curves", "classifier", "grid", "pairs", "samples"],
)
def test_every_figure_carries_the_budget_note_and_is_deterministic(
    name: str, results: StudyResults, tmp_path: Path, shown: list[str]
) -> None:
    first, second = tmp_path / "one" / "first.png", tmp_path / "two" / "second.png"
    draw(name, results, first)
    assert NOTE in " ".join(" ".join(shown).split())
    draw(name, results, second)
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        assert "Software" not in picture.info
    assert [path.name for path in first.parent.iterdir()] == ["first.png"]


def test_confusion_pools_the_seeds(tmp_path: Path, shown: list[str]) -> None:
    predictions = pd.DataFrame({"seed": [1, 2, 1, 2], "true": ["a", "a", "a", "a"], "predicted": ["a", "a", "b", "a"]})
    figures.confusion_figure(tmp_path / "c.png", "raw", predictions, ("a", "b"), NOTE)
    assert "3\n75 %" in shown
    assert "0\n–" in shown  # no image of class b: its share is undefined


def test_stages_that_restart_their_count_are_drawn_one_after_the_other(results: StudyResults, tmp_path: Path) -> None:
    running = results.methods["srgan"].history
    restarted = running.assign(iteration=[10.0, 20.0, 10.0])
    sr_curves(tmp_path / "running.png", "srgan", running, NOTE)
    sr_curves(tmp_path / "restarted.png", "srgan", restarted, NOTE)
    assert (tmp_path / "running.png").read_bytes() == (tmp_path / "restarted.png").read_bytes()


def test_the_crop_covers_the_same_part_in_every_arm_and_finds_the_nucleus(outputs: Path) -> None:
    layout, image = Layout("demo", outputs), "TEST/eosinophil/2"
    for arm, side in (("raw", 8), ("ground_truth", 32)):
        pixels = np.full((side, side, 3), 230, np.uint8)
        part = side // 4
        pixels[2 * part : 3 * part, 3 * part :] = (90, 40, 140)
        Image.fromarray(pixels).save(layout.arm(arm) / f"{image}.png")
    cell = read_cell(layout, image, ("raw", "ground_truth"), 0.5, "", {})
    raw, truth = cell.views["raw"], cell.views["ground_truth"]
    assert raw.box == truth.box == (0.5, 0.375, 0.5, 0.5)
    assert (raw.crop.shape, truth.crop.shape) == ((4, 4, 3), (16, 16, 3))
    assert np.array_equal(np.repeat(np.repeat(raw.crop, 4, 0), 4, 1), truth.crop)


def test_large_images_are_reduced_for_the_grid(outputs: Path) -> None:
    path = outputs / "demo/arms/raw/TEST/eosinophil/2.png"
    Image.new("RGB", (1024, 512), "white").save(path)
    view = read_cell(Layout("demo", outputs), "TEST/eosinophil/2", ("raw",), 0.4, "", {}).views["raw"]
    assert view.whole.shape == (CELL_PIXELS // 2, CELL_PIXELS, 3)
    assert view.size == (512, 1024)


def test_a_missing_image_of_the_grid_names_its_stage(outputs: Path) -> None:
    (outputs / "demo/arms/srgan/TEST/eosinophil/2.png").unlink()
    with pytest.raises(LeukoError, match="dvc repro upscale@srgan"):
        read_cell(Layout("demo", outputs), "TEST/eosinophil/2", ARMS, 0.4, "", {})


def test_grids_refuse_rows_of_different_lengths(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="under 1 labels"):
        figures.degradation_grid(tmp_path / "x.png", [image], [image, image], ["a"], NOTE)


def test_class_counts_follow_the_order_of_the_pipeline(results: StudyResults) -> None:
    counts = class_counts(results.manifest, "paper")
    assert list(counts.columns) == ["sr_train", "classifier_train", "classifier_test"]
    assert counts.loc["eosinophil"].tolist() == [1, 2, 1]


def test_every_arm_has_its_own_colour() -> None:
    assert len({arm_colour(arm) for arm in ARMS}) == len(ARMS) == len(ARM_COLOURS)


def test_budget_note_always_names_its_budget(compose_params: Callable[..., Params]) -> None:
    assert budget_note(compose_params("budget=smoke").budget).startswith("smoke budget: a few images")
    assert budget_note(compose_params("study=case2", "budget=paper").budget).startswith("paper budget: ")
