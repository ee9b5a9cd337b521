"""What papers printed is compared with the same quantity, and what is said of their figures follows from these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukosr.config import Params
from leukosr.evaluate.classification import f1_of_means
from leukosr.layout import Layout
from leukosr.report.published import percentile, published_facts, published_figures
from leukosr.report.results import load_results
from leukosr.report.sections import percentile_rows
from leukosr.report.tables import comparison_table

ARMS = ("raw", "bicubic", "srgan", "real_esrgan", "ground_truth")


def printed(case: str) -> dict[str, dict[str, float]]:
    return published_facts()[case]["classification"]


@pytest.mark.parametrize(("case", "arm"), [(case, arm) for case in ("case1", "case2") for arm in ARMS])
def test_their_f1_is_the_harmonic_mean_of_the_printed_columns(case: str, arm: str) -> None:
    row = printed(case)[arm]
    found = f1_of_means(row["precision"], row["recall"])
    if (case, arm) == ("case2", "ground_truth"):
        assert (round(found, 2), row["f1"]) == (81.50, 91.49)
    else:
        assert found == pytest.approx(row["f1"], abs=0.011)


def test_the_headings_of_case_1_look_swapped() -> None:
    counts = np.array(list(published_facts()["case1"]["test_images"].values()))
    assert (counts.sum(), sorted(counts)) == (498, [124, 124, 125, 125])
    weights = counts / counts.sum() - 1 / 4  # accuracy less macro recall is the sum of these times the recalls
    assert 0.2 < 100 * weights[weights > 0].sum() < 0.21
    away = {
        heading: [abs(row[heading] - row["accuracy"]) for row in printed("case1").values()]
        for heading in ("precision", "recall")
    }
    assert round(max(away["precision"]), 2) == 0.36
    assert round(max(away["recall"]), 2) == 20.55


def test_the_columns_of_case_2_look_permuted() -> None:
    images, of_raabin = published_facts()["case2"]["images"], published_facts()["case2"]["test_a"]
    assert images["lymphocyte"] == of_raabin["neutrophil"]
    assert (sum(images.values()), sum(of_raabin.values())) == (4063, 4339)
    assert sum(of_raabin.values()) - sum(images.values()) == 276


def test_two_arms_of_case_2_are_printed_above_the_originals() -> None:
    rows = printed("case2")
    above = {arm: round(rows[arm]["accuracy"] - rows["ground_truth"]["accuracy"], 2) for arm in ARMS}
    assert {arm: points for arm, points in above.items() if points > 5} == {"bicubic": 5.65, "real_esrgan": 7.74}
    assert published_facts()["run_to_run_accuracy_difference"] == 5


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_what_is_said_holds_the_numbers_that_these_tests_work_out(case: str) -> None:
    study = published_figures(case)
    assert study is not None
    said = " ".join(study.facts)
    numbers = {"case1": ["0.01 in all five", "0.21 points", "0.36 points", "20.55"],
               "case2": ["81.50", "91.49", "4063", "4339", "276", "5.65 and 7.74"]}  # fmt: skip
    assert [each for each in numbers[case] if each not in said] == []


@pytest.mark.parametrize(
    ("value", "values", "expected"),
    [(5.0, [1, 2, 3, 4], 100), (0.0, [1, 2], 0), (2.0, [1, 2, 3], 50), (2.5, [1, 2, 3, 4], 50)],
)
def test_a_percentile_says_where_a_value_lies(value: float, values: list[float], expected: float) -> None:
    assert percentile(value, values) == pytest.approx(expected)


def test_the_table_says_where_published_values_lie_among_our_images(params: Params, outputs: Path) -> None:
    results, case1 = load_results(Layout("demo", outputs), params, "paper"), published_figures("case1")
    table: Any = comparison_table(results, case1).set_index("experiment", drop=False)
    expected = percentile(12.75, results.arms["bicubic"].per_image["psnr"])
    assert table.loc["bicubic", "published_psnr_percentile"] == expected
    assert np.isnan(table.loc["ground_truth", "published_psnr_percentile"])
    rows = {each[0]: each[1:] for each in percentile_rows(table, results)}
    assert len(rows) == len(ARMS) - 1, "nothing was published of the originals"
    assert rows["bicubic"][:2] == ["12.75", f"{expected:.0f}"]
    assert percentile_rows(comparison_table(results, None), results) == []


def test_the_published_folders_grew_by_the_test_images_of_each_class() -> None:
    facts = published_facts()["srgan_vgg19"]
    folders = facts["folders"]
    classes, count = folders["classes"], {name: np.array(folders[name]) for name in folders if name != "classes"}
    support = np.array([facts["per_class"][name][3] for name in classes])
    assert np.array_equal(count["before"], 2 * count["generated"])
    assert np.array_equal(count["after"] - count["before"], count["test"])
    assert np.array_equal(count["tested"], count["test"] + count["test_simple"])
    assert np.array_equal(count["tested"] - support, count["without_cell"])
