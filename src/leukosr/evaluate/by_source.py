"""Means of image quality with intervals over sources: the tiles of one patient are one observation, not many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from leukosr.evaluate.estimate import Estimate

LEAST = 3  # sources, for an interval: with two, Student's t stands at 12.7


def mean_over_images(values: ArrayLike, sources: Sequence[str]) -> Estimate:
    """The mean over images with its 95 % interval over sources.

    Every image counts alike, so the mean is a ratio of two sums over sources: its standard error is that of the ratio
    estimator (Cochran, Sampling Techniques, 3rd ed., section 2.11), its interval Student's t with one degree of freedom
    less than sources. None below `LEAST` sources.
    """
    mean, half = _mean_and_half(values, sources)
    return Estimate(mean, *((None, None) if half is None else (mean - half, mean + half)))


def psnr_of_mean_mse(mse: ArrayLike, sources: Sequence[str]) -> Estimate:
    """10 log10(255² / mean MSE) in dB, with its 95 % interval over sources.

    The interval is that of the logarithm of the mean (delta method), so its ends are defined whatever the spread.
    Raises ValueError for a mean of 0, whose PSNR is unbounded.
    """
    mean, half = _mean_and_half(mse, sources)
    if mean <= 0:
        raise ValueError("the mean MSE is 0, its PSNR unbounded")
    psnr = float(10 * np.log10(255**2 / mean))
    if half is None:
        return Estimate(psnr, None, None)
    decibels = 10 / np.log(10) * half / mean
    return Estimate(psnr, float(psnr - decibels), float(psnr + decibels))


def _mean_and_half(values: ArrayLike, sources: Sequence[str]) -> tuple[float, float | None]:
    """The mean over images, and half the width of its interval."""
    found = np.asarray(values, dtype=float)
    _, place = np.unique(np.asarray(sources), return_inverse=True)
    mean, count = float(found.mean()), int(place.max()) + 1
    if count < LEAST:
        return mean, None
    totals = np.bincount(place, weights=found - mean)  # of each source, around what its images would have
    error = np.sqrt(count / (count - 1) * np.square(totals).sum()) / len(found)
    return mean, float(stats.t.ppf(0.975, count - 1) * error)
