from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.sample_size import intraclass, sample_size
from leukosr.evaluate.arms.significance import wilson
from leukosr.evaluate.arms.simulation import Design, as_predictions, draw


def simulate(design: Design, random: np.random.Generator) -> tuple[Predictions, Predictions]:
    return as_predictions(draw(design, random), len(design.class_sources))


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
    assert (size.images, size.sources, size.icc) == (12, 4, 1.0)
    assert size.effective == pytest.approx(4)
    assert (size.low, size.high) == wilson(2, 4)


def test_copies_that_are_unlike_are_worth_themselves() -> None:
    size = sample_size(predictions([True, False] * 6, [f"s{n // 2}" for n in range(12)]))
    assert (size.icc, size.effective) == (0.0, 12.0)


def test_one_image_a_source_has_no_intraclass_correlation() -> None:
    size = sample_size(predictions([True, False], ["", ""]))
    assert (size.sources, size.icc, size.effective) == (2, None, None)


def test_the_estimate_finds_a_planted_correlation() -> None:
    """A shift of sd 0.2 at accuracy 0.6: the between-source share of the variance is 0.04 / 0.24."""
    design = Design(
        runs=1, class_sources=(750, 750), class_images=4500, accuracy=0.6, source_sd=0.2, source_of_arm_sd=0
    )
    first, _ = simulate(design, np.random.default_rng(0))
    correct = first.table["true"] == first.table["predicted"]
    assert intraclass(correct, first.table["source"]) == pytest.approx(0.04 / 0.24, abs=0.025)
