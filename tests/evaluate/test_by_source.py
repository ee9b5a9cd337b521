"""Means over images with intervals over sources."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from leukosr.evaluate.by_source import mean_over_images, psnr_of_mean_mse


def test_one_image_a_source_is_students_interval() -> None:
    values = np.array([20.0, 22.0, 23.0, 27.0])
    found = mean_over_images(values, ["a", "b", "c", "d"])
    low, high = stats.t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((23.0, low, high))


def test_copies_of_an_image_say_nothing_more() -> None:
    values, sources = np.array([20.0, 22.0, 23.0, 27.0]), ["a", "b", "c", "d"]
    once, often = mean_over_images(values, sources), mean_over_images(np.repeat(values, 9), list(np.repeat(sources, 9)))
    assert (often.value, often.ci_low, often.ci_high) == pytest.approx((once.value, once.ci_low, once.ci_high))


def test_the_interval_covers_the_mean_of_uneven_sources_as_often_as_it_says() -> None:
    random, counts = np.random.default_rng(0), [3, 5, 8, 4, 6, 5, 7, 4, 6, 5]
    sources = list(np.repeat([str(i) for i in range(len(counts))], counts))
    hits = 0
    for _ in range(1500):
        values = np.repeat(random.normal(0, 1, len(counts)), counts) + random.normal(0, 1, sum(counts))
        found = mean_over_images(values, sources)
        assert found.ci_low is not None and found.ci_high is not None
        hits += found.ci_low <= 0 <= found.ci_high
    assert 0.92 <= hits / 1500 <= 0.97


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_sources_have_no_interval(count: int) -> None:
    found = mean_over_images([1.0, 2.0, 3.0, 4.0], [str(i % count) for i in range(4)])
    assert (found.value, found.ci_low, found.ci_high) == (2.5, None, None)


def test_the_psnr_of_the_mean_mse_is_what_the_report_lacks() -> None:
    """002 prints a mean MSE of 47.78 and a mean PSNR of 31.68 dB, which is not the PSNR of that mean."""
    sources = ["a", "b", "c", "d"]
    assert psnr_of_mean_mse([47.78] * 4, sources).value == pytest.approx(31.34, abs=0.005)
    mse = np.array([15.78, 25.02, 47.0, 85.57])
    found = psnr_of_mean_mse(mse, sources)
    assert found.value < float(np.mean(10 * np.log10(255**2 / mse)))
    assert found.ci_low is not None and found.ci_high is not None and found.ci_low < found.value < found.ci_high


def test_a_mean_mse_of_nothing_has_no_psnr() -> None:
    with pytest.raises(ValueError, match="unbounded"):
        psnr_of_mean_mse([0.0, 0.0], ["a", "b"])
