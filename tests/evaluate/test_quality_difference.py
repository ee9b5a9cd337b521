"""PSNR differences over images and networks, against what a plain t test gives and against simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from leukosr.errors import LeukoError
from leukosr.evaluate.quality_difference import psnr_difference


def scores(values: np.ndarray, seeds: list[int] | None = None) -> pd.DataFrame:
    """As per_image.csv: a row per network (of `values`) and image; without `seeds` one network's."""
    rows = [
        {"image": f"{image:03d}", "psnr": psnr} | ({} if seeds is None else {"sr_seed": seeds[network]})
        for network, row in enumerate(np.atleast_2d(values))
        for image, psnr in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_with_one_network_it_is_the_paired_t_test_over_images() -> None:
    first, second = np.random.default_rng(0).normal(30, 2, (2, 20))
    found = psnr_difference(scores(first), scores(second), {})
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx(expected, abs=1e-9)


def test_copies_of_an_image_are_one_observation() -> None:
    first, second = np.random.default_rng(0).normal(30, 2, (2, 10))
    copies = {f"{image:03d}": f"cell {image % 10}" for image in range(30)}
    found = psnr_difference(scores(np.tile(first, 3)), scores(np.tile(second, 3)), copies)
    expected = psnr_difference(scores(first), scores(second), {})
    assert (found.ci_low, found.ci_high) == pytest.approx((expected.ci_low, expected.ci_high))


def test_networks_that_differ_widen_the_interval() -> None:
    images = np.random.default_rng(0).normal(30, 2, 40)
    gains = np.array([[0.2], [0.5], [0.8]])
    alike = psnr_difference(scores(images + 0.5 + 0 * gains, [1, 2, 3]), scores(images - 0.01 * images), {})
    apart = psnr_difference(scores(images + gains, [1, 2, 3]), scores(images - 0.01 * images), {})
    assert alike.value == pytest.approx(apart.value)
    assert apart.ci_high - apart.ci_low > 2 * (alike.ci_high - alike.ci_low)  # type: ignore[operator]


@pytest.mark.parametrize("seeds", [[1, 2, 3], [4, 5, 6]], ids=["the same seeds", "other seeds"])
def test_nine_of_ten_intervals_and_more_hold_the_truth(seeds: list[int]) -> None:
    """95 % is meant; three networks against three are few, so the intervals are wide rather than narrow."""
    random, hits = np.random.default_rng(0), 0
    for _ in range(200):
        images = random.normal(30, 2, 30)

        def arm(gain: float, images: np.ndarray = images) -> np.ndarray:
            return (
                images
                + gain
                + random.normal(0, 0.2, (3, 1))
                + random.normal(0, 0.3, 30)
                + random.normal(0, 0.1, (3, 30))
            )

        found = psnr_difference(scores(arm(0.4), [1, 2, 3]), scores(arm(0.0), seeds), {})
        assert found.ci_low is not None and found.ci_high is not None
        hits += found.ci_low <= 0.4 <= found.ci_high
    assert hits >= 180


def test_other_images_are_refused() -> None:
    with pytest.raises(LeukoError, match="the two arms show other images"):
        psnr_difference(scores(np.full(3, 30.0)), scores(np.full(4, 30.0)), {})


def test_one_image_has_no_interval() -> None:
    found = psnr_difference(scores(np.array([30.0])), scores(np.array([29.0])), {})
    assert (found.value, found.ci_low, found.ci_high) == (1.0, None, None)


def test_images_that_equal_their_originals_are_left_out_of_both_arms() -> None:
    values, others = np.array([30.0, np.nan, 32.0, 35.0]), np.array([29.0, 20.0, 30.0, 31.0])
    found = psnr_difference(scores(values), scores(others), {})
    assert found == psnr_difference(scores(values[[0, 2, 3]]), scores(others[[0, 2, 3]]), {})
    with pytest.raises(LeukoError, match="all 3 images equal their originals in one of two arms"):
        psnr_difference(scores(np.full(3, 30.0)), scores(np.full(3, np.nan)), {})


def test_an_image_that_one_network_of_several_restores_exactly_is_left_out_for_all() -> None:
    random = np.random.default_rng(0)
    values, others = random.normal(30, 2, (3, 8)), random.normal(29, 2, (3, 8))
    kept = [0, 1, 3, 4, 6, 7]
    expected = psnr_difference(scores(values[:, kept], [1, 2, 3]), scores(others[:, kept], [1, 2, 3]), {})
    values[1, 2], others[0, 5] = np.nan, np.nan
    found = psnr_difference(scores(values, [1, 2, 3]), scores(others, [1, 2, 3]), {})
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx(
        (expected.value, expected.ci_low, expected.ci_high)
    )
