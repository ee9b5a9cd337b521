from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.sample_size import intraclass, sample_size
from leukosr.evaluate.arms.simulation import Design, draw, one

from .drawn import as_predictions


def predictions(right: list[bool], sources: list[str]) -> Predictions:
    count = len(right)
    table = pd.DataFrame(
        {
            "image": [f"i{n}" for n in range(count)],
            "source": sources,
            "seed": 0,
            "true": "a",
            "predicted": ["a" if good else "b" for good in right],
        }
    )
    return Predictions("arm", table, ("a", "b"))


def test_copies_that_are_all_alike_are_worth_one_image() -> None:
    size = sample_size(predictions([True] * 6 + [False] * 6, ["x"] * 3 + ["y"] * 3 + ["z"] * 3 + ["w"] * 3))
    assert (size.images, size.sources, size.runs, size.icc) == (12, 4, 1, 1.0)
    assert size.effective == pytest.approx(4)


def test_sources_of_unlike_size_are_worth_less() -> None:
    """Audit, row 3: with sizes 9, 1, 1, 1 an image has 7 of its own source, itself among them, on average."""
    size = sample_size(predictions([True] * 9 + [False] * 3, ["x"] * 9 + ["y", "z", "w"]))
    assert size.icc == 1.0
    assert size.effective == pytest.approx(12 / 7)


def test_copies_that_are_unlike_are_worth_themselves() -> None:
    size = sample_size(predictions([True, False] * 6, [f"s{n // 2}" for n in range(12)]))
    assert (size.icc, size.effective) == (0.0, 12.0)


def test_one_image_a_source_has_no_intraclass_correlation() -> None:
    size = sample_size(predictions([True, False], ["", ""]))
    assert (size.sources, size.icc, size.effective) == (2, None, None)


def test_a_single_source_has_no_interval() -> None:
    size = sample_size(predictions([True, False], ["s", "s"]))
    assert (size.low, size.high) == (None, None)


def test_the_estimate_finds_a_planted_correlation() -> None:
    """Between-source share of the variance of a logit-normal rate: Var(rate) / (mean (1 - mean))."""
    design = Design(
        runs=1, class_sources=(750, 750), class_images=(4500, 4500), accuracy=0.6, source_sd=1.0, source_of_arm_sd=0,
        run_sd=0, run_of_arm_sd=0, source_of_run_sd=0,
    )  # fmt: skip
    first, _ = as_predictions(one(draw(design, "accuracy", 0, 1, np.random.default_rng(0)), 0))
    logits = np.random.default_rng(1).normal(0.5, 1, 100_000)
    rates = 1 / (1 + np.exp(-logits))
    expected = rates.var() / (rates.mean() * (1 - rates.mean()))
    correct = first.table["true"] == first.table["predicted"]
    assert intraclass(correct, first.table["source"]) == pytest.approx(expected, abs=0.025)
