"""How far a mean score, or a difference of two, may lie from the truth: runs x sources, in closed form.

Runs and sources are both samples, crossed: every run classifies every source. With A the variance of the mean that
its runs show, B the one that its sources show and C what both count, the run x source interaction, the variance of the
mean is A + B - C (Cameron, Gelbach & Miller 2011, "Robust Inference With Multiway Clustering"). Macro F1 is no mean of
sources, so each source counts by its influence on the score (delta method; Hampel 1974), which for accuracy is exact.
Sources of unlike size and few degrees of freedom are corrected as in regression: CR2 weights and Bell & McCaffrey's
degrees of freedom (2002, "Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples"), for
sources whose means have one variance. Where chance makes C so large that A + B - C falls below A or B, the larger of
the two is the estimate, with its own degrees of freedom and no longer those of the sum.

All arrays may have further axes before those named, for many data sets at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
from scipy import stats

from leukosr.evaluate.arms.pairs import Counts, Run

Metric = Literal["accuracy", "macro_f1"]
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1")
Fraction = TypeVar("Fraction", float, np.ndarray)
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Side:
    """One sample of runs. sign: +1 where its scores add to the figure, -1 where they are taken off.

    scores: (..., runs); influence: (..., runs, sources), which adds up to 0 over the sources, but for macro F1 where a
    class has one source.
    """

    runs: tuple[Run, ...]
    scores: np.ndarray
    influence: np.ndarray
    sign: int = 1


@dataclass(frozen=True)
class Estimated:
    """A figure, the variance of its error, and how many degrees of freedom that variance has; all (...).

    unseen: one over the number of sources, were they to weigh alike. Few sources may by luck hold none
    of those that make a difference, and then show no variance either: near 100 % accuracy, intervals without a remedy
    call arms equal too often. So a truth x is taken to vary from source to source by an sd of x at least, as an
    exponential variable does, which adds x^2 * unseen to the variance. Large differences become harder to exclude, none
    easier to claim.

    grain: one over the number of images, were classes to weigh as they count. A difference of x is that of at least a
    share |x| of images, which a sample of so many can miss even where runs agree on all it holds: the variance is at
    least |x| (1 - |x|) * grain, that of a coin. 0 where the figure is not a difference on the same images.
    """

    value: np.ndarray
    variance: np.ndarray
    freedom: np.ndarray
    unseen: np.ndarray
    grain: np.ndarray

    @cached_property
    def _known(self) -> np.ndarray:
        """What brings a variance that is known to the scale of Student's t: no degree of freedom is missing from it."""
        return np.asarray((Z / stats.t.ppf(0.975, self.freedom)) ** 2)

    @property
    def _per_square(self) -> np.ndarray:
        return np.asarray(self.unseen * self._known)

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The two-sided interval of that level, e.g. 0.95: all truths that a t test does not reject."""
        square = stats.t.ppf(0.5 + level / 2, self.freedom) ** 2
        rest = 1 - square * self._per_square
        margin = np.sqrt(square * (self.variance * np.maximum(rest, 0) + self._per_square * self.value**2))
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (self.value - margin) / rest, (self.value + margin) / rest
        low, high = np.where(rest > 0, low, -np.inf), np.where(rest > 0, high, np.inf)
        least, largest = _coin_interval(self.value, square * self.grain * self._known)
        return np.minimum(low, least), np.maximum(high, largest)

    def p_below(self, bound: float) -> np.ndarray:
        """One-sided p of the claim that the truth lies below `bound`."""
        return self._p(self.value - bound, bound)

    def p_above(self, bound: float) -> np.ndarray:
        """One-sided p of the claim that the truth lies above `bound`."""
        return self._p(bound - self.value, bound)

    def _p(self, beyond: np.ndarray, bound: float) -> np.ndarray:
        coin = self.grain * self._known * abs(bound) * (1 - abs(bound))
        error = np.sqrt(np.maximum(self.variance + self._per_square * bound**2, coin))
        with np.errstate(divide="ignore", invalid="ignore"):
            p = stats.t.cdf(beyond / error, self.freedom)
        return np.where(error > 0, p, np.where(beyond < 0, 0.0, 1.0))

    def p_different(self) -> np.ndarray:
        """Two-sided p of the claim that the truth is not 0."""
        return np.asarray(np.minimum(1.0, 2 * np.minimum(self.p_below(0.0), self.p_above(0.0))))


def _coin_interval(value: np.ndarray, coin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest truth x that lie within sqrt(coin * |x| * (1 - |x|)) of a value, as Wilson's do."""
    (there, near, far), (here, nearer, farther) = _coin_roots(value, coin), _coin_roots(-value, coin)
    return np.where(here, -farther, near), np.where(there, far, -nearer)


def _coin_roots(value: np.ndarray, coin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether any x >= 0 does so, and the ends of those that do."""
    half = value + coin / 2
    square = half**2 - (1 + coin) * value**2
    root = np.sqrt(np.maximum(square, 0))
    return (square >= 0) & (half >= 0), (half - root) / (1 + coin), (half + root) / (1 + coin)


def scored(counts: Counts, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """The score of each run (..., runs), and the influence of each source on it (..., runs, sources).

    Macro F1 is the mean over the classes that the run has test images of. The influences on the F1 of a class add up to
    0, so the only source of a class would have none: it has what its class adds to the mean, as it does by accuracy.
    """
    if metric == "accuracy":
        images = np.maximum(counts.true.sum((-2, -1)), 1)
        scores = counts.hits.sum((-2, -1)) / images
        own = counts.hits.sum(-1) - scores[..., None] * counts.true.sum(-1)
        return scores, own / images[..., None]
    total = np.maximum((counts.predicted + counts.true).sum(-2), 1)
    f1 = 2 * counts.hits.sum(-2) / total
    own = 2 * counts.hits - f1[..., None, :] * (counts.predicted + counts.true)
    occurs = counts.true.sum(-2) > 0
    weight = occurs / np.maximum(occurs.sum(-1, keepdims=True), 1)
    score = (weight * f1).sum(-1)
    holds = counts.true > 0
    alone = holds & (holds.sum(-2, keepdims=True) == 1)
    influence = own / total[..., None, :] + alone * (f1 - score[..., None])[..., None, :]
    return score, (weight[..., None, :] * influence).sum(-1)


def agreement(hits: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The correlation of two runs' hits on one image, from those of each source: (..., runs, sources) and (...).

    In [0, 1]; 1 with one run, and where none or all of the images are hits, as nothing then shows how far runs differ.
    """
    if hits.shape[-2] < 2:
        return np.ones(np.shape(images))
    share = hits.sum(-1).mean(-1) / images
    chance = hits.var(-2, ddof=1).sum(-1) / images
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share * (1 - share) > 0, np.clip(1 - chance / (share * (1 - share)), 0, 1), 1.0)


def variance_left(agreed: Fraction, runs: int) -> Fraction:
    """The variance of a mean over runs, in that of one run on the same images."""
    return agreed + (1 - agreed) / runs


def estimated(sides: Sequence[Side], images: np.ndarray, strata: np.ndarray) -> Estimated:
    """The sum of the sides' means, each with its sign, with its variance over runs and sources.

    images, strata: (sources,), images of each source and the number of its class; the sources of a class are a sample
    of their own. Runs of several SR networks count as their networks' means, and where the classifiers' seeds recur
    from network to network also as their seeds'. A side with one run has no part of its own: the figure is then about
    this run. Needs two sources.
    """
    clusters = [_Cluster(members, images[members]) for members in merged_strata(strata)]
    value = sum(side.sign * _mean(side.runs, side.scores) for side in sides)
    influence = sum(side.sign * _mean(side.runs, side.influence.swapaxes(-1, -2)) for side in sides)
    by_cluster = [cluster.variance(np.asarray(influence)) for cluster in clusters]
    of_sources = sum(by_cluster)
    certainty = sum(own**2 / cluster.freedom for own, cluster in zip(by_cluster, clusters, strict=True))
    source_freedom = sum(cluster.freedom for cluster in clusters)
    variance, least, unsure = of_sources, of_sources, 0.0
    with np.errstate(invalid="ignore"):
        least_freedom = np.where(certainty > 0, of_sources**2 / certainty, source_freedom)
    for side in sides:
        networks = len({run.sr_seed for run in side.runs}) > 1
        for levels in groupings(side.runs):
            count = len(levels)
            if count < 2:
                continue
            scores = np.stack([side.scores[..., level].mean(-1) for level in levels], -1)
            own = np.stack([side.influence[..., level, :].mean(-2) for level in levels], -2)
            apart = own - own.mean(-2, keepdims=True)
            of_runs = scores.var(-1, ddof=1) / count
            both = np.sum([cluster.variance(apart) for cluster in clusters], axis=0).sum(-1) / (count * (count - 1))
            variance = variance + of_runs - both
            least_freedom = np.where(of_runs > least, count - 1, least_freedom)
            least = np.maximum(least, of_runs)
            certainty = certainty + both**2 / ((count - 1) * source_freedom)
            if networks:  # by Satterthwaite two or three that lie together by chance would hardly count: Cochran's
                unsure = unsure + of_runs / (count - 1)
            else:
                certainty = certainty + of_runs**2 / (count - 1)
    cut_off, variance = variance < least, np.maximum(variance, least)
    certainty = certainty + unsure * variance
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(certainty > 0, np.maximum(variance**2 / certainty, 1.0), source_freedom)
    if not np.any(unsure):  # networks keep Cochran's: a few may lie together by chance
        freedom = np.where(cut_off, least_freedom, freedom)
    classes = len(np.unique(strata))
    unseen = sum((len(np.unique(strata[each.members])) / classes) ** 2 * each.squares for each in clusters)
    return Estimated(np.asarray(value), np.asarray(variance), freedom, np.asarray(unseen), np.zeros(()))


def groupings(runs: Sequence[Run]) -> Iterator[list[np.ndarray]]:
    """The samples that runs are: each a list of levels, which are arrays of indices of runs."""
    networks = _levels([run.sr_seed for run in runs])
    if len(networks) < 2:
        yield [np.array([index]) for index in range(len(runs))]
        return
    yield networks
    seeds = _levels([run.seed for run in runs])
    if len(seeds) < len(runs):
        yield seeds


def _levels(labels: Sequence[int | None]) -> list[np.ndarray]:
    return [np.flatnonzero([other == label for other in labels]) for label in dict.fromkeys(labels)]


def _mean(runs: Sequence[Run], values: np.ndarray) -> np.ndarray:
    """The mean over runs (the last axis), every SR network counting alike."""
    return np.asarray(np.mean([values[..., level].mean(-1) for level in next(groupings(runs))], axis=0))


def merged_strata(strata: np.ndarray) -> list[np.ndarray]:
    """The sources of each class. Classes with one source, which shows no variance, join the smallest of the others."""
    groups = sorted((np.flatnonzero(strata == label) for label in np.unique(strata)), key=len)
    alone = sum(len(each) == 1 for each in groups)
    return [np.concatenate(groups[: alone + 1]), *groups[alone + 1 :]] if alone else groups


class _Cluster:
    """The sources of one class: their shares of its images, CR2 weights and degrees of freedom."""

    def __init__(self, members: np.ndarray, images: np.ndarray) -> None:
        self.members = members
        self.share = images / images.sum()
        self.squares = squares = float((self.share**2).sum())
        expected = 1 - 2 * self.share + squares  # of (mean of a source - mean of all)^2, in variances of one source
        self.weight = 1 / expected
        q = self.share**2 * self.weight
        trace, first, second = float((q * expected).sum()), float(q @ self.share), float(q @ self.share**2)
        whole = squares**2 * q.sum() ** 2 + 2 * q.sum() * second - 4 * squares * q.sum() * first + 2 * first**2
        norm = whole + float((q**2 * (expected**2 - (squares - 2 * self.share) ** 2)).sum())
        self.freedom = trace**2 / norm

    def variance(self, influence: np.ndarray) -> np.ndarray:
        """What these sources add to the variance of a sum of influences (..., sources)."""
        own = influence[..., self.members]
        apart = own - self.share * own.sum(-1, keepdims=True)
        return np.asarray((self.weight * apart**2).sum(-1))
