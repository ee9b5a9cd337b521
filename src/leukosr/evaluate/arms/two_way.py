"""How much new runs and new sources would change figures that are means over both.

Cameron, Gelbach & Miller 2011 (two-way clusters): the variance over runs plus that over sources, less what both count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from leukosr.evaluate.arms.predictions import Counts
from leukosr.evaluate.arms.significance import LEVEL, Metric, scores_by_run, wilson
from leukosr.evaluate.estimate import Estimate


@dataclass(frozen=True)
class TwoWay:
    """Covariance matrices of k figures: between runs, between sources, and of their interaction, which both hold.

    Each is that of the mean over all runs and sources, (k, k); `runs` and `sources` are degrees of freedom.
    """

    of_runs: np.ndarray
    of_sources: np.ndarray
    of_both: np.ndarray
    runs: int
    sources: int

    @property
    def covariance(self) -> np.ndarray:
        """That of the figures; negative eigenvalues, an accident of the subtraction, become 0."""
        values, vectors = np.linalg.eigh(self.of_runs + self.of_sources - self.of_both)
        return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)

    def variance(self, weights: np.ndarray) -> float:
        """That of a weighted sum of the figures; never less than either part alone."""
        a, b, c = (float(weights @ part @ weights) for part in (self.of_runs, self.of_sources, self.of_both))
        return max(a + b - c, a, b)

    def quantile(self, weights: np.ndarray, level: float = LEVEL) -> float:
        """Student's t for a two-sided interval, with Satterthwaite's degrees of freedom."""
        a, b, c = (float(weights @ part @ weights) for part in (self.of_runs, self.of_sources, self.of_both))
        terms = [(a, self.runs), (b, self.sources), (c, self.runs * self.sources)]
        certainty = sum(part**2 / freedom for part, freedom in terms if freedom)
        freedom = self.variance(weights) ** 2 / certainty if certainty else 1.0
        return float(stats.t.ppf(1 - level / 2, freedom))


def two_way(scores: np.ndarray, influence: np.ndarray, strata: np.ndarray) -> TwoWay:
    """Take the covariance of k figures apart.

    scores: (runs, k), one a run. influence: (runs, sources, k), what each source adds to its run's figures beside
    their mean. strata: (sources,), groups of two sources or more, within which sources are compared.
    """
    runs, sources, figures = influence.shape
    of_runs = np.atleast_2d(np.cov(scores.T)) / runs if runs > 1 else np.zeros((figures, figures))
    of_sources, of_both = np.zeros((2, figures, figures))
    for stratum in np.unique(strata):
        own = influence[:, strata == stratum]
        count = own.shape[1]
        longer = count / (count - 1) if count > 1 else 0.0
        mean = own.mean(0) - own.mean((0, 1))
        rest = own - own.mean(1, keepdims=True) - mean
        of_sources += longer * np.einsum("si,sj->ij", mean, mean)
        if runs > 1:
            of_both += longer * np.einsum("rsi,rsj->ij", rest, rest) / (runs * (runs - 1))
    return TwoWay(of_runs, of_sources, of_both, runs - 1, sources - len(np.unique(strata)))


def strata_of(labels: np.ndarray) -> np.ndarray:
    """The class of each source; a class with one source joins the smallest other one: alone it shows no variance."""
    strata = labels.copy()
    while True:
        names, counts = np.unique(strata, return_counts=True)
        if counts.min() > 1 or len(names) == 1:
            return np.asarray(strata)
        smallest, next_one = names[np.argsort(counts, kind="stable")[:2]]
        strata[strata == smallest] = next_one


def influences(counts: Counts, metric: Metric) -> np.ndarray:
    """What each source adds to the score of its run, to first order: (runs, sources), each run's sum is 0."""
    if metric == "accuracy":
        images = counts.true.sum(2)
        score = scores_by_run(counts, metric)[:, None]
        return np.asarray((counts.hits.sum(2) - score * images) / images.sum(1, keepdims=True))
    total = np.maximum((counts.predicted + counts.true).sum(1, keepdims=True), 1)
    f1 = 2 * counts.hits.sum(1, keepdims=True) / total
    return np.asarray(((2 * counts.hits - f1 * (counts.predicted + counts.true)) / total).mean(2))


def share(counts: np.ndarray, images: np.ndarray) -> Estimate:
    """A share of images, mean over runs, with its 95 % interval; counts, images: integers, (runs, sources).

    Wilson's score interval at the number of independent images that the two-way variance amounts to (Korn & Graubard
    1998), with Student's t; that is the number of sources where the share is 0 or 1. No interval for one source.
    """
    rates = counts.sum(1) / images.sum(1)
    rate, sources = float(rates.mean()), images.shape[1]
    if sources < 2:
        return Estimate(rate, None, None)
    influence = (counts - rates[:, None] * images) / images.sum(1, keepdims=True)
    parts = two_way(rates[:, None], influence[..., None], np.zeros(sources))
    variance = parts.variance(np.ones(1))
    inside = 0 < rate < 1 and variance > 0
    worth = min(rate * (1 - rate) / variance, float(images.sum())) if inside else sources
    quantile = parts.quantile(np.ones(1)) if inside else float(stats.t.ppf(1 - LEVEL / 2, sources - 1))
    low, high = wilson(rate * worth, worth, 2 * float(stats.norm.sf(quantile)))
    return Estimate(rate, low, high)
