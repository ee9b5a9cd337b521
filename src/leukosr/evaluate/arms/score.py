"""The score of one arm, and how far from it other runs and other sources may lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import optimize, stats

from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.two_way import Estimated, Metric, Side, Z, estimated, scored
from leukosr.evaluate.estimate import Estimate

UNSEEN = 0.5  # near 0 and 1 an sd over sources of 0.7 times the share of errors, which few sources may not show


def score_with_interval(predictions: Predictions, metric: Metric) -> Estimate:
    """Mean score of one arm over runs, a fraction, and how much other runs and other sources would change it.

    With one run the interval is of this one run. There is none where all images are of a single source.
    """
    own = pair(predictions, replace(predictions, name=f"{predictions.name} again"))
    side = Side(own.runs, *scored(own.first, metric))
    if own.sources < 2:
        return Estimate(float(side.scores.mean()), None, None)
    images = own.first.true.sum(-1).mean(0)
    return bounded(estimated([side], images, own.strata), images)


def bounded(found: Estimated, images: np.ndarray, left: float = 1.0) -> Estimate:
    """The 95 % interval of a fraction, never of no width: all truths that a score test does not reject.

    As in Wilson's interval the variance is that which a truth would give, here with the design effect that the sample
    shows, and at least that of as many independent images. Where no run makes a mistake in any source nothing shows how
    alike the images of a source are, so each source counts once. left: how much of an image's variance the mean over
    runs leaves (`variance_left`), all of it where nothing is known of how far runs agree.
    """
    value = float(found.value)

    def outside(truth: float) -> float:
        return float(rejection(found, images, truth, left))

    return Estimate(value, _edge(outside, value, 0.0), _edge(outside, value, 1.0))


def rejection(found: Estimated, images: np.ndarray, truth: float, left: float = 1.0) -> np.ndarray:
    """How much farther a truth lies from the score than the test at 5 % allows; above 0 it is rejected."""
    worth = np.where(found.variance > 0, images.sum(), images.sum() ** 2 / (images**2).sum())
    shown = stats.t.ppf(0.975, found.freedom) ** 2 * found.variance
    spread, own = truth * (1 - truth), np.maximum(found.value * (1 - found.value), 1e-12)
    squares = np.maximum(shown * np.maximum(1.0, spread / own), Z**2 * spread * left / worth)
    squares = squares + Z**2 * UNSEEN * found.unseen * (min(truth, 1 - truth) * (1 - 2 * truth)) ** 2
    return np.asarray(np.abs(found.value - truth) - np.sqrt(squares))


def _edge(outside: Callable[[float], float], inside: float, end: float) -> float:
    """Where a truth between the score and the end of its scale begins to be rejected; the end where none is."""
    if inside == end or outside(end) <= 0:
        return end
    beside = inside + 1e-9 * (
        end - inside
    )  # the score itself lies on the edge where no truth between 0 and 1 equals it
    return float(optimize.brentq(outside, beside, end))
