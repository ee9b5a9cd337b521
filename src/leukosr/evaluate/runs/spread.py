"""How far runs of one configuration lie apart, and how many are needed to see a difference between arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from leukosr.evaluate.estimate import Estimate
from leukosr.evaluate.runs.trials import Trials

POINTS = (1, 2, 5)
SEEN = (1, 2)  # differences between arms, in points
POWER = 0.8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_SEEDS = 8192


@dataclass(frozen=True)
class Spread:
    """Runs of one learning rate, in the metric's own unit; sd is None for a single run."""

    runs: int
    mean: Estimate
    sd: Estimate | None
    range: float
    quantiles: dict[str, Estimate]


def by_learning_rate(trials: Trials, draws: int = 2000, seed: int = 0) -> dict[float, Spread]:
    """The spread of the runs of each learning rate, in rising order."""
    rng = np.random.default_rng(seed)
    return {rate: _spread(values, apart, draws, rng) for rate, values, apart in _groups(trials)}


def _groups(trials: Trials) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Runs of each learning rate: their values, and which pairs of them differ in every stream that varies at all.

    Runs that share the seed of a stream are more alike than two runs of a user are, so only the other pairs tell how
    far runs lie apart.
    """
    table = trials.table[trials.runs]
    varied = [stream for stream in trials.streams if trials.table[stream].nunique() > 1]
    groups = []
    for rate in sorted(float(each) for each in table["learning_rate"].unique()):
        own = table[table["learning_rate"] == rate]
        apart = ~np.eye(len(own), dtype=bool)
        for stream in varied:
            codes = pd.factorize(own[stream])[0]
            apart &= codes[:, None] != codes
        groups.append((rate, own["value"].to_numpy(float), apart))
    return groups


def independent(trials: Trials) -> bool:
    """Whether no two runs of one learning rate share the seed of a stream that varies."""
    return all(_all_apart(apart) for _, _, apart in _groups(trials))


def _all_apart(apart: np.ndarray) -> bool:
    return bool((apart | np.eye(len(apart), dtype=bool)).all())


def _spread(values: np.ndarray, apart: np.ndarray, draws: int, rng: np.random.Generator) -> Spread:
    return Spread(
        runs=len(values),
        mean=_estimate(values, np.mean, "BCa", draws, rng),
        sd=_sd(values, apart, draws, rng),
        range=float(np.ptp(values)),
        # the acceleration of BCa is not defined for quantiles
        quantiles={f"{q:g}": _estimate(values, partial(np.quantile, q=q), "percentile", draws, rng) for q in QUANTILES},
    )


def _estimate(
    values: np.ndarray, statistic: Callable[..., Any], method: str, draws: int, rng: np.random.Generator
) -> Estimate:
    value = float(statistic(values))
    if len(values) < 3 or not np.ptp(values):
        return Estimate(value, None, None)
    found = stats.bootstrap((values,), statistic, n_resamples=draws, method=method, rng=rng).confidence_interval
    return _finite(value, float(found.low), float(found.high))


def _finite(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high) if np.isfinite([low, high]).all() else Estimate(value, None, None)


def _sd(values: np.ndarray, apart: np.ndarray, draws: int, rng: np.random.Generator) -> Estimate | None:
    """Half the mean squared difference of pairs, as a root: the usual sd where every pair counts.

    Where all pairs count, the chi-square interval: exact for normal runs, while a bootstrap of eight covers 60 to 89 %.
    Else a bootstrap over runs, which is too narrow for few.
    """
    if not apart.any():
        return None
    squares = (values[:, None] - values) ** 2 * apart / 2
    value = float((squares.sum() / apart.sum()) ** 0.5)
    if len(values) < 3 or value == 0:
        return Estimate(value, None, None)
    if _all_apart(apart):
        freedom = len(values) - 1
        low, high = (value * (freedom / float(stats.chi2.ppf(p, freedom))) ** 0.5 for p in (0.975, 0.025))
        return Estimate(value, low, high)
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws).astype(float)
    pairs = np.einsum("di,ij,dj->d", weights, apart.astype(float), weights)
    total = np.einsum("di,ij,dj->d", weights, squares, weights)
    drawn = np.sqrt(total[pairs > 0] / pairs[pairs > 0])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return _finite(value, float(low), float(high))


def differences(trials: Trials) -> np.ndarray:
    """Absolute differences of pairs of runs of one learning rate that differ in every stream, in points, sorted."""
    found = [np.abs(values[:, None] - values)[np.triu(apart, 1)] for _, values, apart in _groups(trials)]
    return np.sort(np.concatenate(found)) / trials.point


def two_runs_differ_by(trials: Trials) -> dict[str, float]:
    """The share of pairs of runs of one configuration that differ by 1, 2, 5 points or more; empty without a pair."""
    apart = differences(trials)
    return {str(points): float((apart >= points - 1e-9).mean()) for points in POINTS} if len(apart) else {}


def run_sd(trials: Trials) -> float | None:
    """The sd of whole runs, pooled over learning rates; None where no two runs differ in every stream."""
    squares, pairs = 0.0, 0.0
    for _, values, apart in _groups(trials):
        # a group counts by its degrees of freedom, not by its many pairs
        if apart.any():
            freedom = len(values) - 1
            squares += freedom * float(((values[:, None] - values) ** 2 * apart).sum() / 2 / apart.sum())
            pairs += freedom
    return (squares / pairs) ** 0.5 if pairs else None


def seeds_needed(sd: float, difference: float) -> int | None:
    """Paired runs that show a mean difference between two arms at 80 % power, two-sided t test at 5 %.

    It takes the arms for independent (their difference has sd * sqrt(2)), which is the worst case of pairs. None above
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
