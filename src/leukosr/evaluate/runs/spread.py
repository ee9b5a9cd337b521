"""How far runs of one configuration lie apart, and how many are needed to see a difference between arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from leukosr.evaluate.estimate import Estimate
from leukosr.evaluate.runs.trials import Trials

POINTS = (1, 2, 5)
SEEN = (1, 2)  # differences between arms, in points
POWER = 0.8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LEAST_FOR_QUANTILES = 40  # the interval of a .05 quantile of 8 runs covers 33 %
LEAST_FOR_SD = 5  # for its interval, which needs a trimmed mean of more than four
MOST_SEEDS = 8192


@dataclass(frozen=True)
class Spread:
    """Runs of one learning rate, in the metric's own unit; sd is None for a single run, quantiles need 40 runs.

    seeds: of the stream that has the fewest, as many as there are runs where none are shared.
    """

    runs: int
    seeds: int
    mean: Estimate
    sd: Estimate | None
    range: float
    quantiles: dict[str, Estimate]


@dataclass(frozen=True)
class _Group:
    """Runs of one learning rate: their values, and which pairs of them differ in every stream that varies at all.

    Runs that share the seed of a stream are more alike than two runs of a user are, so only the other pairs tell how
    far runs lie apart. seeds: how many seeds the stream that has the fewest of them has. No more runs than these are
    independent of one another: in the factorial design of eight runs a stream may have two, and intervals that took
    the eight for independent would hold the mean in 59 % of simulations.
    """

    rate: float
    values: np.ndarray
    apart: np.ndarray
    seeds: int


def by_learning_rate(trials: Trials) -> dict[float, Spread]:
    """The spread of the runs of each learning rate, in rising order."""
    return {own.rate: _spread(own) for own in _groups(trials)}


def _groups(trials: Trials) -> list[_Group]:
    table = trials.table[trials.runs]
    varied = [stream for stream in trials.streams if trials.table[stream].nunique() > 1]
    groups = []
    for rate in sorted(float(each) for each in table["learning_rate"].unique()):
        own = table[table["learning_rate"] == rate]
        apart = ~np.eye(len(own), dtype=bool)
        for stream in varied:
            codes = pd.factorize(own[stream])[0]
            apart &= codes[:, None] != codes
        seeds = min((own[stream].nunique() for stream in varied), default=len(own))
        groups.append(_Group(rate, own["value"].to_numpy(float), apart, seeds))
    return groups


def independent(trials: Trials) -> bool:
    """Whether no two runs of one learning rate share the seed of a stream that varies."""
    return all(own.seeds == len(own.values) for own in _groups(trials))


def _spread(own: _Group) -> Spread:
    values, sd = own.values, _sd(own)
    enough = len(values) >= LEAST_FOR_QUANTILES
    return Spread(
        runs=len(values),
        seeds=own.seeds,
        mean=_mean(own, sd),
        sd=sd,
        range=float(np.ptp(values)),
        quantiles={f"{q:g}": _quantile(own, q) for q in QUANTILES if enough},
    )


def _mean(own: _Group, sd: Estimate | None) -> Estimate:
    """Student's interval, which holds its level for few runs; BCa covers 88 % with eight."""
    value = float(own.values.mean())
    if sd is None or own.seeds < 3 or not np.ptp(own.values):
        return Estimate(value, None, None)
    margin = float(stats.t.ppf(0.975, own.seeds - 1) * sd.value / own.seeds**0.5)
    return Estimate(value, value - margin, value + margin)


def _quantile(own: _Group, q: float) -> Estimate:
    """The interval between the order statistics that hold a quantile with 95 %, whatever the distribution.

    None where runs share seeds, as these statistics are those of independent runs.
    """
    ordered, count = np.sort(own.values), len(own.values)
    low, high = (int(stats.binom.ppf(p, count, q)) for p in (0.025, 0.975))
    value = float(np.quantile(ordered, q))
    # an extreme quantile may lie beyond all runs
    reached = low > 0 and high < count and own.seeds == count
    return Estimate(value, float(ordered[low - 1]), float(ordered[high])) if reached else Estimate(value, None, None)


def _sd(own: _Group) -> Estimate | None:
    """Half the mean squared difference of pairs, as a root: the usual sd where every pair counts.

    The interval is Student's on the logarithm of the variance, with the error of the jackknife over runs or of Bonett
    2006, "Approximate confidence interval for standard deviation of nonnormal distributions" (Computational Statistics
    & Data Analysis 50, 775-782), whichever is larger: chi-square intervals cover 59 to 80 % where runs are skewed.
    Where runs share seeds, both are those of as many runs as are independent.
    """
    values, apart = own.values, own.apart
    if not apart.any():
        return None
    squares = (values[:, None] - values) ** 2 * apart / 2
    value = float((squares.sum() / apart.sum()) ** 0.5)
    count = len(values)
    pairs, total = apart.sum() - 2 * apart.sum(1), squares.sum() - 2 * squares.sum(1)  # without each run
    if own.seeds < LEAST_FOR_SD or value == 0 or not (pairs > 0).all() or not (total > 0).all():
        return Estimate(value, None, None)
    left = np.log(total / pairs)
    jackknife = (count - 1) / count * float(((left - left.mean()) ** 2).sum())
    middle = float(stats.trim_mean(values, 1 / (2 * (count - 4) ** 0.5)))
    kurtosis = count * float(((values - middle) ** 4).sum()) / float(((values - values.mean()) ** 2).sum()) ** 2
    bonett = max(0.0, (kurtosis - (count - 3) / count) / (count - 1))
    error = (max(jackknife, bonett) * count / own.seeds) ** 0.5
    margin = float(stats.t.ppf(0.975, own.seeds - 1)) * error / 2
    return Estimate(value, value * float(np.exp(-margin)), value * float(np.exp(margin)))


def differences(trials: Trials) -> np.ndarray:
    """Absolute differences of pairs of runs of one learning rate that differ in every stream, in points, sorted."""
    found = [np.abs(own.values[:, None] - own.values)[np.triu(own.apart, 1)] for own in _groups(trials)]
    return np.sort(np.concatenate(found)) / trials.point


def two_runs_differ_by(trials: Trials) -> dict[str, float]:
    """The share of pairs of runs of one configuration that differ by 1, 2, 5 points or more; empty without a pair."""
    apart = differences(trials)
    return {str(points): float((apart >= points - 1e-9).mean()) for points in POINTS} if len(apart) else {}


def run_sd(trials: Trials) -> float | None:
    """The sd of whole runs, pooled over learning rates; None where no two runs differ in every stream."""
    squares, freedoms = 0.0, 0.0
    for own in _groups(trials):
        # a group counts by its degrees of freedom, not by its many pairs
        if own.apart.any():
            freedom, apart = len(own.values) - 1, own.apart
            squares += freedom * float(((own.values[:, None] - own.values) ** 2 * apart).sum() / 2 / apart.sum())
            freedoms += freedom
    return (squares / freedoms) ** 0.5 if freedoms else None


def seeds_needed(sd: float, difference: float) -> int | None:
    """Paired runs that show a mean difference between two arms at 80 % power, two-sided t test at 5 %.

    It takes the arms for independent (their difference has sd * sqrt(2); that of pairs may be smaller or larger) and
    the test images for endless: with few sources `evaluate.arms.plan` needs more runs, or finds none enough. None above
    8,192.
    """
    if sd == 0:
        return 2
    high = 2
    while _power(high, difference, sd) < POWER:
        high *= 2
        if high > MOST_SEEDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, difference, sd) >= POWER else (middle, high)
    return high


def _power(runs: int, difference: float, sd: float) -> float:
    shift = difference / (sd * 2**0.5) * runs**0.5
    critical = float(stats.t.ppf(0.975, runs - 1))
    # t squared is F; SciPy's noncentral t is not a number where it is far from 0
    return float(stats.ncf.sf(critical**2, 1, runs - 1, shift**2))
