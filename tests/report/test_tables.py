"""Tables hold the files' values; published figures stand apart; undefined is a dash."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.evaluate.estimate import Estimate
from leukosr.layout import Layout
from leukosr.report.averages import average_blocks
from leukosr.report.block import percent_with_interval, points_with_interval
from leukosr.report.published import published_facts, published_figures
from leukosr.report.quality_blocks import interval, psnr_differences, quality_blocks
from leukosr.report.results import load_results
from leukosr.report.tables import comparison_table, mean_sd, number, print_summary, summary

from .conftest import ARMS


def test_comparison_equals_the_files(params: Params, outputs: Path) -> None:
    table = comparison_table(load_results(Layout("demo", outputs), params, "paper"), None).set_index("experiment")
    assert list(table.index) == list(ARMS)
    row = table.loc["bicubic"]
    assert (row["psnr"], row["ssim"], row["n_images"], row["n_runs"]) == (24.125, 0.5, 8, 2)
    assert (row["accuracy_percent"], row["accuracy_sd_percent"]) == (62.5, 12.5)
    assert row["macro_f1_percent"] == pytest.approx(57.25)
    assert pd.isna(table["psnr"]["ground_truth"])
    assert not any(name.startswith("published") for name in table.columns)


def test_each_score_stands_beside_its_own_spread(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    raw = results.experiments["raw"]
    raw = replace(raw, scores=replace(raw.scores, accuracy_sd=0.01, macro_f1_sd=0.02))
    (row,) = comparison_table(replace(results, experiments={"raw": raw}), None).to_dict("records")
    assert (row["accuracy_sd_percent"], row["macro_f1_sd_percent"]) == (1.0, 2.0)


def test_published_columns_stand_beside_and_may_be_empty(params: Params, outputs: Path) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    table = comparison_table(results, published_figures("case1")).set_index("experiment")
    assert table.loc["real_esrgan", "published_accuracy_percent"] == 97.19
    assert table.loc["srgan", "published_psnr"] == 28.1809
    assert pd.isna(table["published_psnr"]["ground_truth"])
    # what was printed as F1: the harmonic mean of macro precision and macro recall, .5 and .75 in conftest.py
    assert table.loc["srgan", "f1_of_means_percent"] == pytest.approx(60)
    assert "f1_of_means_percent" not in comparison_table(results, None)


def test_summary_is_in_fractions_with_null_for_undefined(params: Params, outputs: Path) -> None:
    found = summary(load_results(Layout("demo", outputs), params, "paper"))
    assert found["raw"]["accuracy"] == 0.625
    assert found["raw"]["n_runs"] == 2
    assert found["ground_truth"]["psnr"] is None


def test_an_image_that_equals_its_original_is_left_out_of_differences_and_counted(
    compose_params: Callable[..., Params], params: Params, outputs: Path, tmp_path: Path
) -> None:
    """A blank tile comes back from any kernel as it was."""
    results = load_results(Layout("demo", outputs), params, "paper")
    arm = results.arms["bicubic"]
    table = arm.every_network.assign(psnr=arm.every_network["psnr"].mask(arm.every_network.index == 0))
    results = replace(results, experiments={}, arms={**results.arms, "bicubic": replace(arm, every_network=table)})
    study = compose_params("study=demo_sr", "budget=smoke", "study.comparisons=[[srgan,bicubic],[srgan,raw]]")
    (block,) = [each for each in quality_blocks(tmp_path, study, results, "") if each.title == "Differences of PSNR"]
    told = [sentence for sentence in block.sentences if "leaves out" in sentence]
    assert told == ["SRGAN – bicubic leaves out 1 image: one of the two arms equals the original there."]


def test_a_difference_of_psnr_says_how_many_networks_made_the_images_of_either_arm(
    compose_params: Callable[..., Params], params: Params, outputs: Path
) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    arm = results.arms["srgan"]
    networks = pd.concat([arm.every_network.assign(sr_seed=seed) for seed in (1, 2, 3)])
    results = replace(results, experiments={}, arms={**results.arms, "srgan": replace(arm, every_network=networks)})
    study = compose_params("study=demo_sr", "budget=smoke", "study.comparisons=[[srgan,bicubic]]")
    (row,) = psnr_differences(study, results).to_dict("records")
    assert (row["networks"], row["other_networks"]) == ("3", "–")


def test_averages_are_those_of_each_arm_and_its_gains_over_the_plain_enlargement(
    compose_params: Callable[..., Params], params: Params, outputs: Path
) -> None:
    results = load_results(Layout("demo", outputs), params, "paper")
    mse = {"bicubic": [0.5, 1.5] * 4, "srgan": [0.25, 0.75] * 4}
    arms = {}
    for name, psnr in (("bicubic", 30.0), ("srgan", 31.5)):
        own = results.arms[name].per_image.assign(psnr=psnr, mse=mse[name])
        arms[name] = replace(results.arms[name], per_image=own, every_network=own)
    study = compose_params("study=demo_sr", "budget=smoke")
    means, gains = average_blocks(study, replace(results, experiments={}, arms=arms))[0].tables
    assert [(row[0], *(cell.split(" (")[0] for cell in row[1:4])) for row in means.rows] == [
        ("bicubic", "30.00", "48.13", "1.00"), ("SRGAN", "31.50", "51.14", "0.50"),
    ]  # fmt: skip
    assert [row[:2] for row in gains.rows] == [["SRGAN", "+1.50 (+1.50 … +1.50)"]]


def test_terminal_table_says_its_budget_and_shows_a_dash(params: Params, outputs: Path) -> None:
    text = io.StringIO()
    results = load_results(Layout("demo", outputs), params, "paper")
    print_summary(results, "smoke budget: tiny", Console(file=text, width=100))
    assert "smoke budget: tiny" in text.getvalue()
    (truth,) = (line for line in text.getvalue().splitlines() if "ground truth" in line)
    assert " – " in truth
    assert "62.5 ± 12.5" in truth


def test_undefined_is_a_dash() -> None:
    assert number(None, 2) == number(float("nan"), 2) == "–"
    assert mean_sd(62.5, None) == "62.5 ± –"
    assert mean_sd(None, None) == "–"


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (number(-0.004, 2), "0.00"),
        (number(-3.5, 2), "−3.50"),
        (mean_sd(-0.04, 0.0), "0.0 ± 0.0"),
        (points_with_interval(Estimate(0.0004, -0.0004, 0.012)), "0.0 (0.0 … +1.2)"),
        (percent_with_interval(Estimate(0.1, -1e-17, 0.2)), "10.0 (0.0 … 20.0)"),
        (interval(-0.41, -0.84, -0.001, " dB"), "−0.41 dB (−0.84 … 0.00)"),
    ],
)
def test_no_number_is_minus_zero_and_a_minus_is_no_hyphen(shown: str, words: str) -> None:
    assert shown == words


def test_published_facts_are_those_printed() -> None:
    case1, case2 = published_figures("case1"), published_figures("case2")
    assert case1 is not None and case2 is not None
    assert (case1.arms["real_esrgan"].accuracy, case1.arms["raw"].psnr) == (97.19, 12.1323)
    assert (case2.arms["real_esrgan"].psnr, case2.arms["ground_truth"].f1) == (30.5038, 91.49)
    assert case1.arms["ground_truth"].psnr is None
    assert published_facts()["srgan_vgg19"]["networks"]["vgg19"]["accuracy"] == [97.41, 93.22, 94.87]


def test_published_key_may_be_absent_but_not_unknown() -> None:
    assert published_figures(None) is None
    assert published_figures("enhancement") is None, "it printed no figures by arm"
    with pytest.raises(LeukoError, match="known are case1, case2"):
        published_figures("case3")


def test_published_label_says_what_differs(compose_params: Callable[..., Params]) -> None:
    case1 = published_figures("case1")
    assert case1 is not None
    assert case1.label(compose_params("study=case1").image) == "published, other sizes and budget"
    assert case1.label(compose_params("study=case1_published").image) == "published, other budget"
