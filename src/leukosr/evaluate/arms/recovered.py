"""Can a design show an effect of super-resolution at all, and how much of what was lost does an arm recover?

Assay sensitivity (ICH E10, 1.5): originals against bicubic enlargement is the largest effect that there can be. Where
it is not told from chance, nothing that super-resolution does can be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leukosr.evaluate.arms.predictions import Pair, Predictions, pair
from leukosr.evaluate.arms.significance import Metric, scores_by_run
from leukosr.evaluate.arms.two_way import TwoWay, influences, strata_of, two_way
from leukosr.evaluate.estimate import Estimate


@dataclass(frozen=True)
class Recovered:
    """Of one arm: the share (arm - bicubic) / (originals - bicubic) of the difference that is there to be recovered.

    share: 1 is all, below 0 is harm; its bounds are None where Fieller's interval is unbounded. gain: arm - bicubic.
    """

    arm: str
    share: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Assay:
    """room: originals - bicubic, with its 95 % interval; sensitive: whether that lies above 0."""

    originals: str
    bicubic: str
    room: Estimate

    @property
    def sensitive(self) -> bool:
        """Whether the design can show an effect of super-resolution."""
        return self.room.ci_low is not None and self.room.ci_low > 0


def assay(originals: Predictions, bicubic: Predictions, metric: Metric) -> Assay:
    """Compare originals with bicubic enlargement on the images and seeds that both have."""
    both = pair(originals, bicubic)
    parts, means = _parts([both], metric)
    return Assay(originals.name, bicubic.name, _estimate(parts, means, np.ones(1)))


def recovered_share(arm: Predictions, originals: Predictions, bicubic: Predictions, metric: Metric) -> Recovered:
    """The recovered share of an arm with Fieller's interval (Fieller 1954), runs and sources both drawn anew.

    All three on the images and seeds that they have in common. Raises LeukoError where there are none.
    """
    keys = ["image", "seed"]
    common = arm.table[keys].merge(originals.table[keys]).merge(bicubic.table[keys])
    three = [replace(each, table=each.table.merge(common)) for each in (arm, originals, bicubic)]
    parts, means = _parts([pair(three[0], three[2]), pair(three[1], three[2])], metric)
    gain = _estimate(parts, means, np.array([1.0, 0.0]))
    return Recovered(arm.name, _fieller(parts, means), gain)


def _parts(pairs: list[Pair], metric: Metric) -> tuple[TwoWay, np.ndarray]:
    """The covariance of the differences of several pairs on the same images, taken apart, and their means."""
    scores = [scores_by_run(each.first, metric) - scores_by_run(each.second, metric) for each in pairs]
    moved = [influences(each.first, metric) - influences(each.second, metric) for each in pairs]
    parts = two_way(np.stack(scores, -1), np.stack(moved, -1), strata_of(pairs[0].strata))
    return parts, np.mean(scores, axis=1)


def _estimate(parts: TwoWay, means: np.ndarray, weights: np.ndarray) -> Estimate:
    value = float(weights @ means)
    if parts.sources < 1:
        return Estimate(value, None, None)
    margin = parts.quantile(weights) * parts.variance(weights) ** 0.5
    return Estimate(value, value - margin, value + margin)


def _fieller(parts: TwoWay, means: np.ndarray) -> Estimate:
    """The ratios r for which first - r second is not told from 0: a quadratic inequality in r."""
    first, second = means
    ratio = float(first / second) if second else float("nan")
    if not second or parts.sources < 1:
        return Estimate(ratio, None, None)
    squared = parts.quantile(np.array([1.0, -ratio])) ** 2
    (v11, v12), (_, v22) = squared * parts.covariance
    a, b, c = second**2 - v22, first * second - v12, first**2 - v11
    if a <= 0:
        return Estimate(ratio, None, None)
    half = max(b * b - a * c, 0.0) ** 0.5
    return Estimate(ratio, float((b - half) / a), float((b + half) / a))
