"""Figures are deterministic files that carry their budget and show what they claim."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.layout import Layout
from leukosr.report.charts import (
    accuracy_figure,
    class_counts,
    class_distribution,
    confusion_figure,
    quality_figure,
)
from leukosr.report.curves import classifier_curves, sr_curves
from leukosr.report.grids import CELL_PIXELS, arm_grid, degradation_grid, read_cell, sample_grid
from leukosr.report.results import StudyResults, load_results
from leukosr.report.style import (
    SEQUENCE,
    Look,
    arm_looks,
    budget_note,
    budget_words,
    experiment_looks,
    merged_notes,
    training_look,
)

from .conftest import ARMS

NOTE = "smoke budget: a note under every figure"


@pytest.fixture
def results(params: Params, outputs: Path) -> StudyResults:
    return load_results(Layout("demo", outputs), params, "paper")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts of the figures that are saved while the test runs."""
    texts: list[str] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: Any, **kwargs: Any) -> None:
        save(figure, *args, **kwargs)  # which writes numbers at the ticks
        texts.extend(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    return texts


def draw(name: str, results: StudyResults, path: Path) -> None:
    raw, images = results.experiments["raw"], [np.full((8, 8, 3), level, np.uint8) for level in (20, 200)]
    cell = read_cell(results.layout, "TEST/eosinophil/2", ARMS, crop=0.4, label="eosinophil", captions={})
    srgan, looks = results.trainings["srgan"], {arm: each.look for arm, each in results.arms.items()}
    calls: dict[str, Callable[[], None]] = {
        "accuracy": lambda: accuracy_figure(path, results, NOTE),
        "quality": lambda: quality_figure(path, results, NOTE),
        "confusion": lambda: confusion_figure(path, looks["raw"], raw.predictions, results.classes, NOTE),
        "classes": lambda: class_distribution(path, results.manifest, NOTE, "paper"),
        "sr_curves": lambda: sr_curves(path, srgan.look, srgan.history, NOTE),
        "classifier": lambda: classifier_curves(path, looks["raw"], raw.history, NOTE),
        "grid": lambda: arm_grid(path, [cell], looks, NOTE),
        "pairs": lambda: degradation_grid(path, images, images, ["a", "b"], NOTE),
        "samples": lambda: sample_grid(path, images, images, images, NOTE),
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


@pytest.mark.parametrize("least", [0.001, 0.05])
def test_losses_have_plain_numbers_at_their_axis(
    least: float, results: StudyResults, tmp_path: Path, shown: list[str]
) -> None:
    training = results.trainings["srgan"]
    history = training.history.assign(loss_generator=np.linspace(0.2, least, len(training.history)))
    sr_curves(tmp_path / "curves.png", training.look, history, NOTE)
    assert "0.1" in shown and not [text for text in shown if "$" in text]


def test_confusion_pools_the_seeds(tmp_path: Path, shown: list[str]) -> None:
    predictions = pd.DataFrame({"seed": [1, 2, 1, 2], "true": ["a", "a", "a", "a"], "predicted": ["a", "a", "b", "a"]})
    confusion_figure(tmp_path / "c.png", Look("raw", "#7F7F7F"), predictions, ("a", "b"), NOTE)
    assert "3\n75 %" in shown
    assert "0\n–" in shown  # no image of class b: its share is undefined
    assert "raw, 2 runs\npooled" in shown, "a title that is wider than the figure goes on below"
    confusion_figure(
        tmp_path / "c.png", Look("SR", "#7F7F7F"), predictions.assign(sr_seed=[1, 1, 2, 2]), ("a", "b"), NOTE
    )
    assert "SR, 4 runs\npooled" in shown  # each of two classifiers on the images of each of two networks


def test_names_of_stages_do_not_overlap(results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[Any] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: Any, **kwargs: Any) -> None:
        save(figure, *args, **kwargs)
        names = [
            text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().startswith("stage")
        ]
        boxes.extend(text.get_window_extent() for text in names)

    monkeypatch.setattr(Figure, "savefig", spy)
    training = results.trainings["srgan"]
    history = training.history.iloc[[0, 0, 1, 2]].reset_index(drop=True)
    history = history.assign(iteration=[1.0, 24.0, 25.0, 30.0], stage=["pixels", "pixels", "warm_up", "task"])
    sr_curves(tmp_path / "curves.png", training.look, history, NOTE)
    assert len(boxes) == 3 and not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("last", [10.0, 20.0])
def test_stages_that_restart_their_count_are_drawn_one_after_the_other(
    results: StudyResults, tmp_path: Path, last: float
) -> None:
    running, look = results.trainings["srgan"].history, results.trainings["srgan"].look
    running = running.assign(iteration=[10.0, 20.0, 20.0 + last])
    restarted = running.assign(iteration=[10.0, 20.0, last])
    sr_curves(tmp_path / "running.png", look, running, NOTE)
    sr_curves(tmp_path / "restarted.png", look, restarted, NOTE)
    assert (tmp_path / "running.png").read_bytes() == (tmp_path / "restarted.png").read_bytes()


def test_the_crop_covers_the_same_part_in_every_arm_and_finds_the_nucleus(outputs: Path) -> None:
    layout, image = Layout("demo", outputs), "TEST/eosinophil/2"
    for arm, side in (("raw", 8), ("ground_truth", 32)):
        pixels = np.full((side, side, 3), 230, np.uint8)
        part = side // 4
        pixels[2 * part : 3 * part, 3 * part :] = (90, 40, 140)
        Image.fromarray(pixels).save(layout.arm(arm) / f"{image}.png")
    cell = read_cell(layout, image, ("raw", "ground_truth"), crop=0.5, label="", captions={})
    raw, truth = cell.views["raw"], cell.views["ground_truth"]
    assert raw.box == truth.box == (0.5, 0.375, 0.5, 0.5)
    assert (raw.crop.shape, truth.crop.shape) == ((4, 4, 3), (16, 16, 3))
    assert np.array_equal(np.repeat(np.repeat(raw.crop, 4, 0), 4, 1), truth.crop)


def test_large_images_are_reduced_for_the_grid(outputs: Path) -> None:
    path = outputs / "demo/arms/raw/TEST/eosinophil/2.png"
    Image.new("RGB", (1024, 512), "white").save(path)
    cell = read_cell(Layout("demo", outputs), "TEST/eosinophil/2", ("raw",), crop=0.4, label="", captions={})
    view = cell.views["raw"]
    assert view.whole.shape == (CELL_PIXELS // 2, CELL_PIXELS, 3)
    assert view.size == (512, 1024)


def test_a_long_title_of_an_arm_stays_above_its_column(results: StudyResults, tmp_path: Path, shown: list[str]) -> None:
    cell = read_cell(results.layout, "TEST/eosinophil/2", ARMS, crop=0.4, label="eosinophil", captions={})
    looks = {arm: Look("RealESRGAN_x4plus, trained further with L1", "#7F7F7F") for arm in ARMS}
    arm_grid(tmp_path / "grid.png", [cell], looks, NOTE)
    titles = [text.split("\n") for text in shown if text.startswith("RealESRGAN")]
    assert len(titles) == len(ARMS) and all(
        title[:-1] == ["RealESRGAN_x4plus,", "trained further with L1"] for title in titles
    )


def test_a_missing_image_of_the_grid_names_its_stage(outputs: Path) -> None:
    (outputs / "demo/arms/srgan/TEST/eosinophil/2.png").unlink()
    with pytest.raises(LeukoError, match="dvc repro upscale@srgan"):
        read_cell(Layout("demo", outputs), "TEST/eosinophil/2", ARMS, crop=0.4, label="", captions={})


def test_grids_refuse_rows_of_different_lengths(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="under 1 labels"):
        degradation_grid(tmp_path / "x.png", [image], [image, image], ["a"], NOTE)


def test_class_counts_follow_the_order_of_the_pipeline(results: StudyResults) -> None:
    counts = class_counts(results.manifest, "paper")
    assert list(counts.columns) == ["sr_train", "classifier_train", "classifier_test"]
    assert counts.loc["eosinophil"].tolist() == [1, 2, 1]


def test_the_five_arms_keep_their_names_and_colours(params: Params) -> None:
    looks = arm_looks(params)
    assert {arm: look.label for arm, look in looks.items()} == {
        "raw": "raw LR", "bicubic": "bicubic", "srgan": "SRGAN", "real_esrgan": "Real-ESRGAN",
        "ground_truth": "ground truth",
    }  # fmt: skip
    colours = ["#7F7F7F", "#E69F00", "#56B4E9", "#D55E00", "#009E73"]
    assert [look.colour for look in looks.values()] == colours
    assert training_look(params, "srgan") == looks["srgan"]


def test_arms_without_a_colour_take_the_next_that_is_free(compose_params: Callable[..., Params]) -> None:
    params = compose_params("study=demo", "arms=[raw,unsharp,clahe,srgan,median]", "report.looks.clahe.title=null")
    looks = arm_looks(params)
    assert looks["clahe"] == Look("clahe", SEQUENCE[1])
    assert len({look.colour for look in looks.values()}) == 5


def test_an_experiment_that_is_not_that_of_an_arm_has_its_own_name_and_colour(
    compose_params: Callable[..., Params],
) -> None:
    entry = "{reads: outputs/demo/arms/raw, train: [raw], test: raw, protocols: null, seeds: null}"
    params = compose_params(
        "study=demo", f"+classify.raw_again={entry}", "+classify.raw_again.classifier=${classifier}"
    )
    arms, looks = arm_looks(params), experiment_looks(params)
    assert {name: looks[name] for name in params.arms} == arms
    assert looks["raw_again"].label == "raw again"
    assert looks["raw_again"].colour not in {look.colour for look in arms.values()}


def test_budget_note_always_names_its_budget(compose_params: Callable[..., Params]) -> None:
    assert budget_note(compose_params("budget=smoke").budget).startswith("smoke budget: a few images")
    assert budget_note(compose_params("study=case2", "budget=paper").budget).startswith("paper budget: ")


@pytest.mark.parametrize(
    ("name", "note", "words"),
    [
        ("cpu", "CPU budget: few images", "CPU budget: few images"),
        ("probe", "CPU budget: few images", "probe: CPU budget: few images"),
        ("probe", "few images: a small budget", "probe budget: few images: a small budget"),
    ],
)
def test_a_note_that_speaks_of_a_budget_is_not_told_so_again(name: str, note: str, words: str) -> None:
    assert budget_words(name, note) == words


@pytest.mark.parametrize(
    ("notes", "merged"),
    [
        (["CPU budget: narrow; probes"] * 2, "CPU budget: narrow; probes"),
        (["CPU budget: narrow; probes", "CPU budget: published; probes"], "CPU budget: narrow; published; probes"),
        (["CPU budget: few steps", "smoke budget: few images"], "CPU budget, smoke budget: few steps; few images"),
        (["one: CPU budget: narrow; probes", "two: CPU budget: probes"], "one, two, CPU budget: narrow; probes"),
        (["published hyper-parameters"], "published hyper-parameters"),
    ],
)
def test_several_budget_notes_are_told_as_one_that_says_each_thing_once(notes: list[str], merged: str) -> None:
    """What all say comes last."""
    assert merged_notes(notes) == merged
