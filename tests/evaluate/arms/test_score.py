"""One arm's score with its interval, where intervals used to be too narrow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.score import rejection, score_with_interval
from leukosr.evaluate.arms.simulation import Design, draw
from leukosr.evaluate.arms.two_way import Side, estimated, scored


def arm(right: np.ndarray, copies: int = 1) -> Predictions:
    """One class of every second source, (runs, images); `copies` images show one source."""
    rows = [(f"i{n}", f"s{n // copies}", seed, "ab"[n // copies % 2], "ab"[(n // copies % 2) ^ (not good)])
            for seed, run in enumerate(right) for n, good in enumerate(run)]  # fmt: skip
    return Predictions("arm", pd.DataFrame(rows, columns=["image", "source", "seed", "true", "predicted"]), ("a", "b"))


def test_perfect_arms_have_an_interval_of_some_width() -> None:
    """Audit, row 4. Nothing shows how alike copies are, so each source counts once."""
    by_image = score_with_interval(arm(np.ones((8, 60), bool)), "accuracy")
    copies = score_with_interval(arm(np.ones((8, 60), bool), copies=6), "accuracy")
    assert by_image.value == copies.value == by_image.ci_high == copies.ci_high == 1
    assert by_image.ci_low is not None and copies.ci_low is not None
    wilson = stats.binomtest(60, 60).proportion_ci(method="wilson")
    assert by_image.ci_low == pytest.approx(wilson.low, abs=0.01)
    assert copies.ci_low < 0.8 < by_image.ci_low


def test_one_image_a_source_and_one_run_give_about_the_wilson_interval() -> None:
    right = np.random.default_rng(0).random((1, 300)) < 0.8
    found = score_with_interval(arm(right), "accuracy")
    expected = stats.binomtest(int(right.sum()), 300).proportion_ci(method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx((expected.low, expected.high), abs=0.012)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize(
    "design",
    [
        Design(class_sources=(7, 7), class_images=(140, 140), accuracy=0.97),
        Design(class_sources=(7, 7), class_images=(28, 28), accuracy=0.97, runs=1),
        Design(class_sources=(13, 6, 4, 45), class_images=(620,) * 4, accuracy=0.97, source_sd=1.5),
        Design(),
    ],
    ids=["14 sources", "one run", "BCCD", "plain"],
)
def test_intervals_cover_the_truth_near_100_percent(design: Design, metric: str) -> None:
    pair = draw(design, metric, 0, 400, np.random.default_rng(0))  # type: ignore[arg-type]
    found = estimated([Side(pair.runs, *scored(pair.first, metric))], design.images, pair.strata)  # type: ignore[arg-type]
    assert (rejection(found, design.images, design.accuracy) <= 0).mean() >= 0.94 - 0.015
