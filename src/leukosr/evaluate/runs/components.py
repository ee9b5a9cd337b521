"""How much of the run-to-run variance each randomness stream carries.

Model: value = mean of its learning rate + one random effect a level of every stream + residual. Estimates are
Henderson's method III: for each stream the sum of squares that it adds to all the others, equated with its expectation
(unbiased for variances, also in unbalanced tables; Searle, Casella & McCulloch 1992, ch. 5). Intervals are generalised
confidence intervals (Weerahandi 1993; Park & Burdick 2003): with one stream varied at a time and an exact repeat they
are the exact chi-square intervals, and in crossed tables they keep their level where percentiles of a bootstrap of ten
levels would cover about 89 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import linalg, stats

from leukosr.evaluate.runs.trials import Trials

GRID = (np.arange(64) + 0.5) / 64  # probabilities: the two chi-squares of an interval meet in every combination
TOLERANCE = 1e-9
PRECISION, MOST_STEPS = 1e-12, 60  # of the bounds of an interval; five to ten steps reach it


@dataclass(frozen=True)
class Component:
    """The standard deviation that a stream adds, in the metric's own unit, with its 95 % interval.

    freedom: contrasts that carry the estimate.
    """

    sd: float
    ci_low: float
    ci_high: float
    freedom: int


@dataclass(frozen=True)
class Components:
    """What each stream adds; streams that cannot be told apart stand together, as `init+order`.

    residual: what the streams by themselves do not explain. In a crossed table that is their interactions and the
    hardware; where one stream is varied at a time it rests on exact repeats and is the hardware alone. None where no
    two trials agree enough to tell, then it is part of every component. left_out: streams without an estimate, and why.
    carries_more: pairs of streams of which the first carries more, wrong in 5 % of tables at most.
    """

    by_stream: dict[str, Component]
    residual: Component | None
    left_out: dict[str, str]
    carries_more: list[tuple[str, str]]


def components(trials: Trials) -> Components:
    """Variance components of a table of trials."""
    groups, left_out = _groups(trials)
    value = trials.table["value"].to_numpy(float)
    value = value - value.mean()  # rounding of a common value is no variance
    value[np.abs(value) < TOLERANCE * trials.point] = 0.0
    rates = _indicator(trials.table["learning_rate"])
    levels = {name: _indicator(labels) for name, labels in groups.items()}
    everything = np.hstack([rates, *levels.values()])
    left = _without(everything, value)
    freedom = len(value) - int(np.linalg.matrix_rank(everything))
    squares = float(left @ left) if freedom else 0.0
    scale = float(value.var()) or 1.0
    squares = squares if squares > TOLERANCE * scale else 0.0
    found: dict[str, Component] = {}
    for name, own in levels.items():
        others = np.hstack([rates, *(other for key, other in levels.items() if key != name)])
        weights, contrasts = _contrasts(others, own, value)
        if not len(weights):
            left_out[name] = "its seeds change only together with those of the other streams or with the learning rate"
            continue
        found[name] = _component(weights, contrasts, squares, freedom)
    sizes = [rates.shape[1], *(own.shape[1] for own in levels.values())]
    fitted = np.split(np.linalg.pinv(everything) @ value, np.cumsum(sizes)[:-1])[1:]
    effects = {name: own for name, own in zip(levels, fitted, strict=True) if name in found}
    return Components(found, _residual(squares, freedom), left_out, _carries_more(found, effects))


def _carries_more(found: dict[str, Component], effects: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    """Pairs of streams of which the first carries more: intervals apart, and a test that takes no runs for normal.

    Intervals alone are wrong in 20 to 25 % where runs have heavy tails. Brown & Forsythe 1974, "Robust Tests for the
    Equality of Variances": Welch's t test of the distances of a stream's seeds from their median, corrected for the
    number of pairs (Bonferroni). `effects` of the seeds are free of the other streams (least squares of all at once).
    """
    pairs = list(combinations(found, 2))
    ordered = [(one, other) if found[one].sd >= found[other].sd else (other, one) for one, other in pairs]
    apart = {name: np.abs(own - np.median(own)) for name, own in effects.items()}
    return [
        (one, other)
        for one, other in ordered
        if found[one].ci_low > found[other].ci_high
        and float(stats.ttest_ind(apart[one], apart[other], equal_var=False).pvalue) < 0.05 / len(pairs)
    ]


def _groups(trials: Trials) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Streams whose seeds are one-to-one, joined under one name; and those that never change."""
    found: dict[str, pd.Series] = {}
    names: dict[tuple[int, ...], list[str]] = {}
    held: dict[str, str] = {}
    for stream in trials.streams:
        codes, unique = pd.factorize(trials.table[stream])
        if len(unique) < 2:
            held[stream] = "it has the same seed in every trial"
            continue
        names.setdefault(tuple(codes), []).append(stream)
    for key, streams in names.items():
        found["+".join(streams)] = pd.Series(key)
    return found, held


def _indicator(labels: pd.Series) -> np.ndarray:
    return np.asarray(pd.get_dummies(labels).to_numpy(float))


def _basis(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the columns' span."""
    return np.asarray(linalg.orth(columns, rcond=TOLERANCE))


def _without(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What the columns cannot explain of `values`."""
    basis = _basis(columns)
    return np.asarray(values - basis @ (basis.T @ values))


def _contrasts(others: np.ndarray, own: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Independent contrasts of one stream, free of all others: their variance is weight * stream + residual."""
    free = _without(others, own)
    spread, directions = np.linalg.eigh(free.T @ free)
    kept = spread > 1e-6 * max(1.0, float(spread.max(initial=0.0)))
    weights, directions = spread[kept], directions[:, kept]
    return weights, np.asarray((directions.T @ (free.T @ value)) / np.sqrt(weights))


def _component(weights: np.ndarray, contrasts: np.ndarray, squares: float, freedom: int) -> Component:
    count, total = len(weights), contrasts**2
    if squares == 0:  # no residual, or one that is part of the component: exact, by chi-square
        whole = float((total / weights).sum())
        low, high = (whole / float(stats.chi2.ppf(p, count)) for p in (0.975, 0.025))
        return Component((whole / count) ** 0.5, low**0.5, high**0.5, count)
    variance = max(0.0, float((total.sum() - count * squares / freedom) / weights.sum()))
    noise, wanted = (stats.chi2.ppf(GRID, each) for each in (freedom, count))
    drawn = _solve(weights, total, squares / noise.repeat(len(GRID)), np.tile(wanted, len(GRID)))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Component(variance**0.5, float(low) ** 0.5, float(high) ** 0.5, count)


def _solve(weights: np.ndarray, total: np.ndarray, noise: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For every draw the variance v >= 0 at which sum(total / (weight v + noise)) is `wanted`, 0 where none is."""
    variance = np.zeros_like(noise)
    for _ in range(MOST_STEPS if total.any() else 0):
        terms = 1 / (np.outer(variance, weights) + noise[:, None])
        here, falls = terms @ total, terms**2 @ (total * weights)
        # Newton's method on 1 / here, which rises and is concave: from 0 it goes up to the root and never past it
        step = np.maximum(0.0, (here / wanted - 1) * here / falls)
        variance += step
        if (step <= PRECISION * variance).all():
            break
    return variance


def _residual(squares: float, freedom: int) -> Component | None:
    if not freedom:
        return None
    low, high = (squares / float(stats.chi2.ppf(p, freedom)) for p in (0.975, 0.025))
    return Component((squares / freedom) ** 0.5, low**0.5, high**0.5, freedom)
