"""Assay sensitivity and the recovered share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.recovered import assay, recovered_share

RUNS, SOURCES, IMAGES = 6, 30, 6  # images a source


def three_arms(rng: np.random.Generator, gains: tuple[float, float, float]) -> list[Predictions]:
    """Arm, originals, bicubic: right with 0.55 plus a gain, plus what the source, the run and both in an arm are worth."""
    rate = 0.55 + np.array(gains)[:, None, None] + rng.normal(0, 0.1, SOURCES) + rng.normal(0, 0.02, (RUNS, 1))
    rate = rate + rng.normal(0, 0.05, (3, 1, SOURCES)) + rng.normal(0, 0.02, (3, RUNS, 1))
    right = rng.random((3, RUNS, SOURCES, IMAGES)) < rate[..., None]
    run, source, image = (part.ravel() for part in np.indices((RUNS, SOURCES, IMAGES)))
    frame = pd.DataFrame(
        {"image": source * IMAGES + image, "source": source, "seed": run, "true": np.where(source % 2, "a", "b")}
    ).astype({"image": str, "source": str})
    other = np.where(frame["true"] == "a", "b", "a")
    return [
        Predictions(name, frame.assign(predicted=np.where(side.ravel(), frame["true"], other)), ("a", "b"))
        for name, side in zip(("arm", "originals", "bicubic"), right, strict=True)
    ]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_fiellers_interval_covers_the_share(metric: str) -> None:
    covered = []
    for number in range(250):
        found = recovered_share(*three_arms(np.random.default_rng(number), (0.1, 0.2, 0.0)), metric)  # type: ignore[arg-type]
        assert found.share.ci_low is not None and found.share.ci_high is not None
        covered.append(found.share.ci_low <= 0.5 <= found.share.ci_high)
    assert np.mean(covered) >= 0.92  # 0.95 less two standard errors


def test_a_design_without_a_difference_is_not_sensitive_and_the_share_is_unbounded() -> None:
    arm, originals, bicubic = three_arms(np.random.default_rng(3), (0.0, 0.0, 0.0))
    assert not assay(originals, bicubic, "accuracy").sensitive
    found = recovered_share(arm, originals, bicubic, "accuracy")
    assert found.share.ci_low is None and found.share.ci_high is None


def test_equal_arms_make_a_design_sensitive_in_five_percent_at_most() -> None:
    called = [
        assay(*three_arms(np.random.default_rng(number), (0.0, 0.0, 0.0))[1:], "accuracy").sensitive
        for number in range(200)
    ]
    assert np.mean(called) <= 0.05


def test_an_arm_that_is_the_originals_recovers_everything() -> None:
    _, originals, bicubic = three_arms(np.random.default_rng(1), (0.0, 0.3, 0.0))
    assert assay(originals, bicubic, "accuracy").sensitive
    share = recovered_share(originals, originals, bicubic, "accuracy").share
    assert (share.value, share.ci_low, share.ci_high) == pytest.approx((1, 1, 1))
