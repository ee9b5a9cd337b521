"""How often the words are wrong, at reduced size; `leukosr calibrate` does it at full size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.cli.design_file import read_design
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.calibration import CHUNK, DESIGNS, Calibration, judge
from leukosr.evaluate.arms.pairs import Counts, pair
from leukosr.evaluate.arms.significance import WORDS, difference
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.report.calibration_figure import calibration_figure, calibration_sentence

from .drawn import as_predictions

COUNT, SLACK = 300, 0.03  # 2.4 standard errors of a share of 5 % of 300


@pytest.mark.parametrize("true", [0.0, 0.02])
@pytest.mark.parametrize("name", DESIGNS)
def test_words_and_intervals_hold_their_level(name: str, true: float) -> None:
    """Audit, rows 4 to 7 and N7: intervals cover, equal arms are not called different, the margin not too little."""
    found = judge(name, DESIGNS[name], "macro_f1", 0.02, true, COUNT, workers=1)
    assert found.covered >= 0.94 - SLACK
    assert found.score_covered >= 0.94 - SLACK
    assert (found.gain_denied if true else found.called_different) <= 0.05 + SLACK


@pytest.mark.parametrize("true", [0.0, 0.02])
def test_intervals_hold_their_level_where_networks_have_unlike_numbers_of_runs(true: float) -> None:
    """Six networks as results/pbc-answer-tuned-arms combines them: three with three classifiers, three with five."""
    design = Design(runs=5, sr_seeds=6, network_sd=0.2, recurring=True)
    drawn = draw(design, "macro_f1", true, COUNT, np.random.default_rng(0))
    kept = [at for at, run in enumerate(drawn.runs) if run.sr_seed >= 3 or run.seed < 3]  # type: ignore[operator]
    sides = [
        Counts(*(part[:, kept] for part in (side.hits, side.predicted, side.true)))
        for side in (drawn.first, drawn.second)
    ]
    runs = tuple(drawn.runs[at] for at in kept)
    assert len(runs) == 24
    found = difference(replace(drawn, first=sides[0], second=sides[1], runs=runs, other_runs=runs), "macro_f1")
    low, high = found.interval(0.95)
    assert ((low <= true) & (true <= high)).mean() >= 0.94 - SLACK
    assert found.value.mean() == pytest.approx(true, abs=0.006)


def test_every_hundred_comparisons_are_drawn_anew() -> None:
    few, more = (judge("", Design(), "accuracy", 0.02, 0.02, chunks * CHUNK, workers=1) for chunks in (1, 3))
    assert (few.said, few.covered, few.score_covered) != (more.said, more.covered, more.score_covered)


def test_large_differences_are_found_and_small_ones_excluded() -> None:
    many = Design(runs=20, class_sources=(175, 175), class_images=(900, 900))
    assert judge("", many, "accuracy", 0.02, 0.06, 100, workers=1).said["clearly better"] > 0.7
    assert judge("", many, "accuracy", 0.05, 0.0, 100, workers=1).said["equivalent"] > 0.9


def test_the_simulated_arms_differ_by_what_was_planted() -> None:
    design = Design(class_sources=(400, 100), class_images=(800, 800))
    for metric, truth in (("accuracy", 0.05), ("macro_f1", 0.05)):
        drawn = draw(design, metric, 0.05, 40, np.random.default_rng(0))  # type: ignore[arg-type]
        found = difference(drawn, metric)  # type: ignore[arg-type]
        assert found.value.mean() == pytest.approx(truth, abs=0.004)


def test_arms_of_several_networks_score_what_was_planted() -> None:
    """The second arm has no network, so its logits vary less and need another constant for the score asked for."""
    design = Design(runs=1, class_sources=(20, 20), class_images=(40, 40), sr_seeds=20, network_sd=1.0)
    drawn = draw(design, "accuracy", 0.05, 400, np.random.default_rng(0))
    scores = [side.hits.sum() / side.true.sum() for side in (drawn.first, drawn.second)]
    assert scores == pytest.approx([0.8, 0.75], abs=0.006)


def test_the_simulation_counts_as_files_are_counted() -> None:
    direct = one(
        draw(Design(runs=2, class_sources=(3, 2), class_images=(9, 8)), "accuracy", 0, 3, np.random.default_rng(0)), 1
    )
    read = pair(*as_predictions(direct))
    for side in ("first", "second"):
        for part in ("hits", "predicted", "true"):
            assert np.array_equal(getattr(getattr(direct, side), part), getattr(getattr(read, side), part))
    assert np.array_equal(direct.strata, read.strata)


def test_zipf_sizes_are_those_of_zipf() -> None:
    assert Design(class_sources=(3, 2), class_images=(110, 30), zipf=True).images.tolist() == [60, 30, 20, 20, 10]


def test_a_design_of_ones_own_is_simulated(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("runs: 6\nclass_sources: [5, 5]\nclass_images: [20, 20]\naccuracy: 0.9\n")
    arguments = [
        "calibrate",
        "--out",
        str(tmp_path / "out"),
        "--design",
        str(tmp_path / "mine.yaml"),
        "--comparisons",
        "5",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 design, 5 comparisons each" in result.output.replace("\n", " ")
    assert (tmp_path / "out" / "calibration.csv").read_text().splitlines()[1].startswith("mine,accuracy,0.02,0.0,5,")


def test_designs_of_one_file_name_stay_apart_and_too_low_an_accuracy_is_refused(tmp_path: Path) -> None:
    text = "{{runs: 6, class_sources: [5, 5], class_images: [20, 20], accuracy: {}}}\n"
    arguments = ["calibrate", "--out", str(tmp_path / "out"), "--comparisons", "2"]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(text.format(0.9))
        arguments += ["--design", str(tmp_path / folder / "mine.yaml")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    rows = (tmp_path / "out" / "calibration.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == {"one", "two"}
    (tmp_path / "one" / "mine.yaml").write_text(text.format(0.01))
    assert "lower --margin or raise accuracy" in str(CliRunner().invoke(app, arguments).exception)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("runs: 0\n", "runs = 0: input should be greater than or equal to 1"),
        ("rums: 8\n", "unknown key 'rums'"),
        ("class_sources: [5, 5]\n", "class_sources names 2 classes and class_images 4"),
    ],
)
def test_a_design_that_cannot_be_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(LeukoError, match=message):
        read_design(path)


def test_a_design_by_the_name_of_the_rows_about_power_is_refused_before_it_is_simulated(tmp_path: Path) -> None:
    """Its rows would be drawn as those of power, and none would be left to judge."""
    (tmp_path / "power.yaml").write_text("runs: 6\n")
    arguments = ["calibrate", "--out", str(tmp_path / "out"), "--design", str(tmp_path / "power.yaml")]
    result = CliRunner().invoke(app, arguments)
    assert str(result.exception).endswith(
        "power.yaml: a design cannot be called power, as rows about power are: rename the file"
    )
    assert not (tmp_path / "out").exists()


def test_the_figure_and_the_table_hold_every_design(tmp_path: Path) -> None:
    found = [fake(name, true) for name in (*DESIGNS, "power") for true in (0.0, 0.02)]
    calibration_figure(tmp_path / "calibration.png", found)
    with Image.open(tmp_path / "calibration.png") as image:
        assert image.width > 1000
    assert found[0].as_record()["class_sources"] == "18 18 17 17"
    said = f"{len(DESIGNS)} designs, 1000 comparisons each; intervals hold the truth in 95.0 to 95.0 %"
    assert said in calibration_sentence(found)


def fake(name: str, true: float) -> Calibration:
    said = dict.fromkeys(WORDS, 0.01)
    return Calibration(name, DESIGNS.get(name, Design()), "accuracy", 0.02, true, 1000, 0.95, 0.94, 0.96, 0.95, said)
