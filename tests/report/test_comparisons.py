"""Comparisons for a terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import f1_score
from tests.evaluate.arms.drawn import as_predictions
from typer.testing import CliRunner

from leukosr.cli import app
from leukosr.cli.options import console
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import Origin, write_sidecar
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import read_predictions
from leukosr.evaluate.arms.sample_size import SampleSize, sample_size
from leukosr.evaluate.arms.significance import compare
from leukosr.evaluate.arms.simulation import Design, draw, one
from leukosr.evaluate.claims import Claim, Claims
from leukosr.report.comparisons import (
    HEADS,
    about,
    conditional_row,
    difference_text,
    images_text,
    print_without_conflicts,
    row,
    sentences,
    size_sentence,
    worth_sentence,
)

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "case1-leakage" / "plots" / "confusion"


@pytest.mark.parametrize(("columns", "verdicts"), [("80", [2]), ("300", [1, 1])])
def test_long_names_cut_no_verdict_off(columns: str, verdicts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_environ", {"COLUMNS": columns})
    arms = [str(PUBLISHED / f"{arm}_source_disjoint.csv") for arm in ("real_esrgan", "raw")]
    result = CliRunner().invoke(app, ["compare", *arms])
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if line.startswith(("│ real_esrgan_source", "  verdict"))]
    assert [row.count("inconclusive") for row in rows] == verdicts
    assert all(len(row) <= int(columns) for row in rows)
    assert "+8.5 (−1.4 … +18.7)" in result.output and "over sources" not in result.output


def test_conditional_figures_are_shown_when_asked_for() -> None:
    """Audit, row 8."""
    arms = [str(PUBLISHED / f"{arm}_source_disjoint.csv") for arm in ("real_esrgan", "raw", "bicubic")]
    result = CliRunner().invoke(app, ["compare", *arms, "--details", "--against", "bicubic_source_disjoint"])
    assert "p over sources" in result.output and "decides anything" in result.output.replace("\n", " ")
    assert result.output.index("macro F1 (primary)") < result.output.index("accuracy  ")  # the primary metric leads
    assert "raw_source_disjoint – bicubic_source_disjoint: compared on 300 shared images of 58 sources" in result.output


def test_nothing_is_declared_of_a_part_of_the_images() -> None:
    published = PUBLISHED.parents[2] / "pbc-answer-tuned" / "plots" / "confusion"
    arms = [str(published / f"{arm}.csv") for arm in ("real_esrgan", "bicubic")]
    for options, images, declared in (([], 3096, True), (["--images", "*_1*"], 340, False)):
        result = CliRunner().invoke(app, ["compare", *arms, *options, "--json"])
        primary = [each for each in json.loads(result.output) if each["primary"]]
        assert [(each["images"], each["declared"]) for each in primary] == [(images, declared)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--margin", "2"], "--margin is 2, expected a fraction between 0 and 1; did you mean 0.02, 2 points?"),
        (["--margin", "0"], "--margin is 0, expected more than 0"),
        (["--against", "srgan"], "--against is 'srgan', expected one of real_esrgan_paper, raw_paper"),
        (
            ["--against", "raw_papr"],
            "expected one of real_esrgan_paper, raw_paper; did you mean raw_paper?",
        ),
        (["--primary", "f1"], "--primary is 'f1', expected accuracy or macro_f1"),
        (["--primary", "acuracy"], "expected accuracy or macro_f1; did you mean accuracy?"),
        (["--columns", "label=true"], "--columns has 'label=true': write OURS=YOURS"),
    ],
)
def test_wrong_options_are_named(options: list[str], message: str) -> None:
    arms = [str(PUBLISHED / f"{arm}_paper.csv") for arm in ("real_esrgan", "raw")]
    result = CliRunner().invoke(app, ["compare", *arms, *options])
    assert isinstance(result.exception, LeukoError) and str(result.exception).startswith("--")
    assert message in str(result.exception)


def test_what_a_verdict_is_about_is_said_by_comparison() -> None:
    design = Design(runs=2, class_sources=(4, 4), class_images=(8, 8))
    plain, nested = (
        pair(*as_predictions(one(draw(each, "accuracy", 0.0, 1, np.random.default_rng(0)), 0)))
        for each in (design, replace(design, sr_seeds=3))
    )
    found = compare([replace(plain, a="truth"), replace(nested, a="srgan")])
    words = about([each for each in found if each.primary])
    assert "truth – second: runs differ only in what their seeds drive" in words
    assert "srgan – second: the intervals include the SR seed, so a verdict is about this method" in words


def test_without_label_conflicts_the_declared_family_is_the_same(tmp_path: Path) -> None:
    family = [Claim(first="real_esrgan", second="raw", protocol="source_disjoint")]
    claims = Claims(metric="accuracy", margin=0.03, seeds=list(range(1, 9)), family=family)
    files = []
    for arm in ("real_esrgan", "raw", "bicubic"):
        folder = tmp_path / arm
        folder.mkdir()
        files.append(str(copyfile(PUBLISHED / f"{arm}_source_disjoint.csv", folder / "predictions.csv")))
        write_sidecar(folder, Origin(arm, "source_disjoint", claims))
    printed = CliRunner().invoke(app, ["compare", *files]).output
    assert printed.count("(exploratory)") == 3  # all but the declared pair by the declared metric
    assert (
        "Without the 17 images of sources that have two labels, no verdict changes, and no difference by"
        in printed.replace("\n", " ")
    )


def test_a_verdict_that_changes_without_label_conflicts_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = compare([one(draw(Design(runs=6), "accuracy", 0.0, 1, np.random.default_rng(0)), 0)])
    changed = [replace(each, verdict="no gain", difference=each.difference + 0.01) for each in found[:1]]
    print_without_conflicts(found, [*changed, *found[1:]], 3, Console(width=200))
    printed = capsys.readouterr().out
    assert "Without the 3 images of sources that have two labels, these verdicts change:" in printed
    assert printed.count("no gain") == 1 and printed.count("first – second") == 1


@pytest.mark.parametrize(("moved", "points"), [(0.0, "0.0"), (-0.0123, "1.3")])
def test_how_little_label_conflicts_change_is_said(
    moved: float, points: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare([one(draw(Design(runs=6), "accuracy", 0.0, 1, np.random.default_rng(0)), 0)])
    without = [replace(each, difference=each.difference + moved) for each in found]
    print_without_conflicts(found, without, 1, Console(width=200))
    said = capsys.readouterr().out
    assert "Without the 1 image of sources that have two labels, no verdict changes, and" in said
    assert f"no difference by more than {points} points." in said


def test_a_published_study_is_answered_with_its_tables() -> None:
    refused = CliRunner().invoke(app, ["compare", str(PUBLISHED.parents[1])]).exception
    assert isinstance(refused, LeukoError)
    assert "confusion/NAME.csv (bicubic_" in str(refused)


def test_tables_of_other_names_are_judged_and_planned_alike_and_a_loss_excludes_no_gain_of_0(tmp_path: Path) -> None:
    arms = []
    for arm in ("raw", "bicubic"):
        header, rest = (PUBLISHED / f"{arm}_source_disjoint.csv").read_text().split("\n", 1)
        arms.append(str(tmp_path / f"{arm}.csv"))
        Path(arms[-1]).write_text(f"{header.replace('true', 'label').replace('source', 'slide')}\n{rest}")
    runner = CliRunner()
    assert "what yours are called, e.g. --columns" in str(runner.invoke(app, ["compare", *arms]).exception)
    planned = runner.invoke(app, ["plan", *arms, "--columns", "true=label,source=slide", "--runs", "8"])
    assert planned.exit_code == 0 and "58 sources" in planned.output
    unknown = runner.invoke(app, ["compare", *arms, "--columns", "true=label"]).output.replace("\n", " ")
    assert "Inconclusive whatever the figures" in unknown and "is excluded" not in unknown
    assert "raw – bicubic: compared on 300 shared images of unknown sources, 8 paired runs" in unknown


def test_a_sentence_says_what_p_is_adjusted_for_and_images_that_name_no_source_are_counted() -> None:
    (found, _) = compare([one(draw(Design(runs=6), "accuracy", 0.0, 1, np.random.default_rng(0)), 0)])
    said, declared = (" ".join(sentences([replace(found, primary=True, declared=each)])) for each in (None, False))
    assert "p (Holm) is corrected for all pairs of the same metric." in said
    assert "corrected for all declared pairs, or all other pairs, of the same" in declared
    cells = row(replace(found, difference=-0.0004, ci_low=-0.07, ci_high=0.0004, ci90_low=-0.05, ci90_high=-0.0001))
    assert cells[2:4] == ["0.0 (−7.0 … 0.0)", "−5.0 … 0.0"]
    part = replace(found, images=1400, without_source=1200)
    assert images_text(part) == "1,400 images, 1,200 of them of unknown sources"


@pytest.mark.parametrize("runs", [1, 2, 5, 6])
def test_too_few_runs_for_a_verdict_give_no_interval_and_no_p(runs: int) -> None:
    both = one(draw(Design(runs=runs), "accuracy", 0.1, 1, np.random.default_rng(0)), 0)
    found = next(each for each in compare([both]) if each.primary)
    assert found.ci_low is not None and (found.p_value is None) == (runs == 1)  # as JSON has them
    cells = dict(zip(HEADS, row(found), strict=True))
    words = "1 run: no interval" if runs == 1 else f"{runs} runs: no interval"
    enough = runs == 6
    assert (words not in difference_text(found)) == enough
    assert all((cells[name] != "–") == enough for name in ("90 % interval", "p", "p (Holm)"))
    assert (conditional_row(found)[1] != "–") == enough
    assert any("Holm" in each for each in sentences([found])) == enough


def test_an_arm_is_introduced_with_both_scores() -> None:
    path = PUBLISHED / "raw_source_disjoint.csv"
    table = pd.read_csv(path)
    runs = [f1_score(own["true"], own["predicted"], average="macro") for _, own in table.groupby("seed")]
    said = size_sentence(sample_size(read_predictions(path, "raw")))
    assert said.startswith(f"raw: macro F1 {100 * np.mean(runs):.1f} %, accuracy ")


def test_two_runs_of_an_arm_give_no_interval() -> None:
    size = SampleSize("raw", 20, 16, True, 2, 0.3, 0.2, 0.068, 0.459, None, None)
    assert worth_sentence(size) == "20 test images of 16 sources; 2 runs give no interval."
    assert "6.8 to 45.9 %" in worth_sentence(replace(size, runs=3))


def test_a_word_that_holm_denies_is_named() -> None:
    words = set()
    for difference in (0.03, 0.0, -0.01):
        drawn = draw(Design(runs=20), "accuracy", difference, 12, np.random.default_rng(0))
        pairs = [one(drawn, i) for i in range(12)]
        found = [each for each in compare(pairs, "accuracy") if each.primary]
        for drawn_pair, each, sentence in zip(pairs, found, sentences(found), strict=False):
            (alone,) = (other.verdict for other in compare([drawn_pair], "accuracy") if other.primary)
            assert each.alone == alone
            assert (f"Judged alone, the verdict would be {alone}; after Holm" in sentence) == (alone != each.verdict)
            assert ("Holm's correction for all pairs it is not (p is then" in sentence) == (
                each.verdict == "inconclusive" and alone in ("better", "worse", "clearly better", "clearly worse")
            )
            words |= {alone} if alone != each.verdict else set()
    assert words >= {"better", "no gain"}
