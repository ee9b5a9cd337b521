"""Which experiments the assay sensitivity and the recovered share are about, and what is said beside cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from leukosr.config import Params
from leukosr.evaluate.arms.significance import compare
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.report.cells import help_block, reliability_block
from leukosr.report.evidence import (
    assay_blocks,
    assay_pairs,
    assay_sentences,
    beside,
    conflict_blocks,
    consistency_block,
)
from leukosr.report.results import StudyResults
from leukosr.report.style import Look


def test_each_classifier_has_an_assay_of_its_own_and_arms_are_judged_by_theirs(
    compose_params: Callable[..., Params],
) -> None:
    params = compose_params("study=case1_weights", "budget=smoke")
    results = cast(StudyResults, SimpleNamespace(experiments=params.classify))
    pairs = assay_pairs(params, results)
    assert pairs == [("ground_truth", "bicubic"), ("ground_truth_probe", "bicubic_probe")]
    tuned, probed = (beside(params, results, pair) for pair in pairs)
    assert "real_esrgan" in tuned and not any(name.endswith("_probe") for name in tuned)
    assert "real_esrgan_probe" in probed and all(name.endswith("_probe") for name in probed)


@pytest.mark.parametrize(("sources", "warned"), [(58, True), (3087, False), (None, False)])
def test_few_sources_are_warned_of_beside_cells_helped_and_harmed(
    tmp_path: Path, sources: int | None, warned: bool
) -> None:
    table = pd.DataFrame({"image": ["1", "2"], "seed": 1, "true": "a", "predicted": "a"})
    scores, look = SimpleNamespace(n_test_sources=sources), SimpleNamespace(label="arm")
    arms = {name: SimpleNamespace(look=look, predictions=table, scores=scores) for name in ("one", "other")}
    results = cast(StudyResults, SimpleNamespace(experiments=arms, classes=("a", "b")))
    block = help_block(tmp_path, results, [("one", "other")], "", "")
    assert any("share their fate" in sentence for sentence in block.sentences) == warned


@pytest.mark.parametrize("runs", [2, 3])
def test_two_runs_show_shares_of_cells_without_intervals_and_say_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    texts: list[str] = []

    def save(figure: Figure, path: Path, **options: Any) -> None:
        texts.extend(each.get_text() for each in figure.findobj(Text) if isinstance(each, Text))
        Image.new("RGB", (1, 1)).save(path, format="png")

    monkeypatch.setattr(Figure, "savefig", save)
    rows = [(str(image), f"s{image}", seed, "a") for seed in range(runs) for image in range(8)]
    table = pd.DataFrame(rows, columns=["image", "source", "seed", "true"])
    worse = table.assign(predicted=["b" if image == "1" else "a" for image in table["image"]])
    arms = {
        name: SimpleNamespace(
            look=SimpleNamespace(label=name), predictions=said, scores=SimpleNamespace(n_test_sources=8)
        )
        for name, said in (("one", table.assign(predicted="a")), ("other", worse))
    }
    results = cast(StudyResults, SimpleNamespace(experiments=arms, classes=("a", "b")))
    block = help_block(tmp_path, results, [("one", "other")] * 2, "", "")
    said = " ".join([*block.sentences, *(each.label for each in block.tables)])
    assert "(–)" not in str(block)
    assert said.count("two runs") == (runs == 2) and said.count("95 %") == (3 if runs == 3 else 0)
    assert any("lines: 95 % intervals" in text for text in texts) == (runs == 3)


@pytest.mark.parametrize(
    ("runs", "source", "said"),
    [
        (3, "s", "95 % intervals over runs and sources."),
        (1, "s", "95 % intervals over sources, of one run."),
        (1, "", "95 % intervals over sources, of one run. An image whose source is not known counts as one of its own"),
    ],
)
def test_the_brackets_say_over_what_they_are(tmp_path: Path, runs: int, source: str, said: str) -> None:
    rows = [(str(image), source and f"{source}{image}", seed, "a") for seed in range(runs) for image in range(8)]
    table = pd.DataFrame(rows, columns=["image", "source", "seed", "true"]).assign(predicted="a")
    look, scores = SimpleNamespace(label="arm"), SimpleNamespace(n_test_sources=8)
    arms = {name: SimpleNamespace(look=look, predictions=table, scores=scores) for name in ("one", "other")}
    results = cast(StudyResults, SimpleNamespace(experiments=arms, classes=("a", "b")))
    assert said in " ".join(help_block(tmp_path, results, [("one", "other")], "", "").sentences)


def test_no_verdict_is_not_taken_for_no_effect() -> None:
    drawn = draw(Design(runs=2), "accuracy", 0.2, 1, np.random.default_rng(0))
    (room,) = (each for each in compare([one(drawn, 0)]) if each.primary)
    first, _ = assay_sentences(room)
    assert first.endswith("no verdict is possible: 2 paired runs, and a verdict takes 6.")


@pytest.mark.parametrize(("training", "left"), [("b", 1), ("a", 0)])
def test_a_test_image_whose_source_has_another_label_in_training_is_left_out(
    compose_params: Callable[..., Params], training: str, left: int
) -> None:
    params = compose_params("study=demo", "budget=smoke", "study.comparisons=[[srgan,bicubic]]")
    rows = [("t", "s1", training, "classifier_train"), ("x", "s1", "a", "classifier_test"),
            ("y", "s2", "b", "classifier_test"), ("z", "s2", "b", "classifier_test")]  # fmt: skip
    manifest = [
        SimpleNamespace(id=image, source=source, label=label, role=lambda _, role=role: role)
        for image, source, label, role in rows
    ]
    table = pd.DataFrame(
        [(image, source, seed, label, label) for image, source, label, _ in rows[1:] for seed in range(6)],
        columns=["image", "source", "seed", "true", "predicted"],
    )
    arms = {name: SimpleNamespace(look=SimpleNamespace(label=name), predictions=table) for name in ("srgan", "bicubic")}
    results = cast(
        StudyResults, SimpleNamespace(experiments=arms, manifest=manifest, protocol="paper", classes=("a", "b"))
    )
    blocks = conflict_blocks(params, results)
    assert len(blocks) == left
    for block in blocks:
        assert block.sentences == ["1 source has images with two labels (1 classifier_test, 1 classifier_train)."]
        assert block.tables[0].label == "Verdicts without such sources (1 test image)"


def test_the_first_of_a_pair_corrects_to_the_right_and_breaks_to_the_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[float] = []

    def save(figure: Figure, path: Path, **options: Any) -> None:
        bars.extend(each.get_width() for each in figure.axes[0].patches if isinstance(each, Rectangle))
        Image.new("RGB", (1, 1)).save(path, format="png")

    monkeypatch.setattr(Figure, "savefig", save)
    rows = [(str(image), f"s{image}", seed, "a") for seed in range(2) for image in range(8)]
    table = pd.DataFrame(rows, columns=["image", "source", "seed", "true"])
    wrong = {"one": {"1"}, "other": {"2", "3", "4"}}
    arms = {
        name: SimpleNamespace(
            look=SimpleNamespace(label=name),
            predictions=table.assign(predicted=["b" if image in own else "a" for image in table["image"]]),
            scores=SimpleNamespace(n_test_sources=8),
        )
        for name, own in wrong.items()
    }
    results = cast(StudyResults, SimpleNamespace(experiments=arms, classes=("a", "b")))
    block = help_block(tmp_path, results, [("one", "other")], "", "")
    assert block.sentences[0] == "Against other, one corrects 37.5 % of all test cells and breaks 12.5 %."
    assert block.tables[0].rows == [["a / b", "37.5", "12.5"]]
    assert sorted(bars) == [-12.5, 37.5]


def test_the_risk_beside_the_calibration_is_that_among_the_surest_four_fifths(tmp_path: Path) -> None:
    sure = np.linspace(0.95, 0.55, 10)
    table = pd.DataFrame({"image": [str(n) for n in range(10)], "seed": 1, "true": "a", "p_a": sure, "p_b": 1 - sure})
    table["predicted"] = ["b" if place == 4 else "a" for place in range(10)]
    arm = SimpleNamespace(look=Look("arm", "#000000"), predictions=table)
    results = cast(StudyResults, SimpleNamespace(experiments={"arm": arm}, classes=("a", "b")))
    (row,) = reliability_block(tmp_path, results, 10, "", "").tables[0].rows
    assert (row[0], row[-1]) == ("arm", "12.5")


def test_the_distance_from_the_low_resolution_images_has_its_own_spread() -> None:
    quality = SimpleNamespace(consistency=2.0, consistency_sd=0.5, ssim_sd=0.1)
    arms = {"arm": SimpleNamespace(look=SimpleNamespace(label="arm"), quality=quality)}
    block = consistency_block(cast(StudyResults, SimpleNamespace(arms=arms)))
    assert block.tables[0].rows == [["arm", "2.0 ± 0.5"]]


def test_the_recovered_share_is_what_an_arm_gains_of_what_was_lost(compose_params: Callable[..., Params]) -> None:
    params = compose_params("study=demo", "budget=smoke", "study.primary=accuracy")
    rows = [(str(image), f"s{image}", seed, "ab"[image % 2]) for seed in range(8) for image in range(40)]
    table = pd.DataFrame(rows, columns=["image", "source", "seed", "true"])
    place, other = table["image"].astype(int), table["true"].map({"a": "b", "b": "a"})
    arms = {
        name: SimpleNamespace(
            arm=name,
            look=SimpleNamespace(label=name),
            predictions=table.assign(predicted=table["true"].mask(place >= hits, other)),
        )
        for name, hits in (("ground_truth", 38), ("bicubic", 22), ("srgan", 26))
    }
    (block,) = assay_blocks(params, cast(StudyResults, SimpleNamespace(experiments=arms, classes=("a", "b"))))
    (row,) = block.tables[0].rows
    assert row[0] == "srgan" and row[2].startswith("25.0 (")
