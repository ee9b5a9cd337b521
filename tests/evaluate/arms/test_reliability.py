"""Calibration and risk-coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss

from leukosr.evaluate.arms.reliability import COVERAGES, reliability


def arm(sure: np.ndarray, right: np.ndarray, seed: int = 1) -> pd.DataFrame:
    """Two classes; the one named has the probability `sure`."""
    named = np.where(right, "a", "b")
    return pd.DataFrame(
        {
            "image": np.arange(len(sure)).astype(str), "seed": seed, "true": "a", "predicted": named,
            "p_a": np.where(named == "a", sure, 1 - sure), "p_b": np.where(named == "b", sure, 1 - sure),
        }
    )  # fmt: skip


def test_ece_is_the_mean_distance_of_confidence_from_the_share_right() -> None:
    sure = np.repeat([0.75, 0.95], 10)
    right = np.array([True] * 5 + [False] * 5 + [True] * 10)
    found = reliability(arm(sure, right), ("a", "b"), 10)
    assert found.ece[0] == pytest.approx(0.5 * 0.25 + 0.5 * 0.05)
    assert found.ece[1] is None  # one run


def test_brier_of_two_classes_is_twice_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    sure, right = rng.uniform(0.5, 1, 50), rng.random(50) < 0.7
    table = arm(sure, right).assign(true=np.where(rng.random(50) < 0.5, "a", "b"))
    expected = 2 * brier_score_loss(table["true"] == "a", table["p_a"])
    assert reliability(table, ("a", "b"), 10).brier[0] == pytest.approx(expected)


def test_risk_rises_to_the_error_of_all_cells_where_confidence_tells() -> None:
    sure = np.linspace(0.99, 0.51, 100)
    right = np.arange(100) < 80
    found = reliability(arm(sure, right), ("a", "b"), 10)
    assert found.risk[COVERAGES <= 0.8].max() == 0 and found.risk[-1] == pytest.approx(0.2)


def test_the_order_of_equally_sure_cells_decides_nothing() -> None:
    right = np.array([True, False] * 20)
    one, other = (reliability(arm(np.full(40, 0.8), side), ("a", "b"), 10) for side in (right, ~right))
    assert one.aurc[0] == other.aurc[0] == pytest.approx(0.5)


def test_runs_are_judged_one_by_one() -> None:
    sure = np.full(20, 0.9)
    runs = [arm(sure, np.arange(20) < count, seed) for seed, count in ((1, 18), (2, 10))]
    found = reliability(pd.concat(runs), ("a", "b"), 10)
    assert found.ece[0] == pytest.approx((0.0 + 0.4) / 2)


@pytest.mark.parametrize(("cells", "first"), [(7, 1), (50, 3), (100, 5)])
def test_the_risk_at_a_coverage_is_that_of_the_cells_it_takes_at_least(cells: int, first: int) -> None:
    """The surest cell is wrong and all others are right, so the risk tells how many cells it is over."""
    found = reliability(arm(np.linspace(0.99, 0.51, cells), np.arange(cells) > 0), ("a", "b"), 10)
    assert found.risk[0] == pytest.approx(1 / first) and found.risk[-1] == pytest.approx(1 / cells)
