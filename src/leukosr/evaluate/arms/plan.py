"""How likely each word is for a study that is yet to run: its power in runs, sources and SR networks.

The verdict's own rule is applied to what a study of that size would see: a difference that is normal, and mean squares
of runs, sources and their interaction that are chi-squared (two-way random effects; Searle, Casella & McCulloch 1992,
"Variance Components", 4.3), on a fixed grid of Sobol points, so no figure depends on a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, get_args

import numpy as np
from scipy import stats
from scipy.stats import qmc

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pilot import Components, not_excluded
from leukosr.evaluate.arms.significance import LEAST_RUNS, LEAST_SOURCES, PTests, Verdict, p_values, words
from leukosr.evaluate.arms.two_way import Estimated
from leukosr.evaluate.estimate import Estimate

POINTS = 4096  # of the grid: powers are within half a point
FEWER = 256  # of the grid where many powers are asked for: within three points
ENDLESS = 1_000_000  # runs that leave nothing of their own variance
WON: tuple[Verdict, ...] = ("clearly better", "better")


@dataclass(frozen=True)
class Size:
    """Size of a study: runs of the classifier on the images of each SR network, sources, SR networks."""

    runs: int
    sources: int
    sr_seeds: int = 1


@dataclass(frozen=True)
class Planned:
    """The probability of each word at one size; trainings: of classifiers, of both arms.

    found: that of `better` or `clearly better`, with the interval that the pilot's own uncertainty leaves, which is
    rough: of small simulated pilots 9 in 10 held the power, of those with four SR networks 8 in 10.
    """

    size: Size
    power: dict[Verdict, float]
    found: Estimate

    def as_record(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        trainings = 2 * self.size.runs * self.size.sr_seeds
        return {**asdict(self.size), "trainings": trainings, "power": self.power, "found": asdict(self.found)}


@dataclass(frozen=True)
class Plan:
    """What `plan` answers.

    runs_needed: the fewest runs that find `difference` better or clearly better with probability `aim`, at the sources
    and SR networks of `at`; None where no number of runs does. smallest_difference_with_infinite_runs: the smallest
    that endless runs would find so; None where they would find none.
    """

    at: Size
    difference: float
    margin: float
    family: int
    aim: float
    grid: tuple[Planned, ...]
    smallest_difference_with_infinite_runs: float | None
    runs_needed: int | None


@dataclass(frozen=True)
class Question:
    """The true difference, the margin, how many comparisons Holm corrects for, and the probability that is aimed at."""

    difference: float
    margin: float
    family: int = 1
    aim: float = 0.8


def plan(found: Components, question: Question, sizes: Sequence[Size], at: Size) -> Plan:
    """The power of every word at every size, and what runs alone can do at the sources of `at`."""
    others = not_excluded(found)
    grid = tuple(_planned(found, others, size, question) for size in sizes)
    return Plan(
        at,
        question.difference,
        question.margin,
        question.family,
        question.aim,
        grid,
        _smallest_difference(found, question, at),
        _runs_needed(found, question, at),
    )


def _planned(found: Components, others: Sequence[Components], size: Size, question: Question) -> Planned:
    own = power(found, size, question)
    won, low, high = sum(own[name] for name in WON), None, None
    if others:
        drawn = [_won(each, size, question, FEWER) for each in others]
        low, high = (float(bound) for bound in np.quantile([*drawn, won], (0.025, 0.975)))
    return Planned(size, own, Estimate(won, low, high))


def power(found: Components, size: Size, question: Question, points: int = POINTS) -> dict[Verdict, float]:
    """The probability of each word at one size. Bonferroni stands for Holm, whose first step it is."""
    names: tuple[Verdict, ...] = get_args(Verdict)
    if size.runs * size.sr_seeds < LEAST_RUNS or size.sources < LEAST_SOURCES:
        return {name: float(name == "inconclusive") for name in names}
    seen = _seen(found, size, question.difference, _points()[:points])
    p = p_values(seen, question.margin)
    corrected = PTests(*(np.minimum(1, question.family * getattr(p, kind)) for kind in PTests.__dataclass_fields__))
    said = words(seen, question.margin, corrected)
    return {name: float((said == name).mean()) for name in names}


def _seen(found: Components, size: Size, difference: float, draws: np.ndarray) -> Estimated:
    """What studies of one size would see: differences, their variances and degrees of freedom, one per point."""
    m, s, k = size.runs, size.sources, size.sr_seeds
    if k > 1 and found.networks is None:
        raise LeukoError("nothing is known of SR networks: give a pilot with a column sr_seed, or --sd-sr")
    freedom, sources = found.freedom * s / found.seen, found.sources / s
    alone = found.runs / (k * m) + (found.seeds or 0.0) / m
    cells = found.cells / (k * m * s) + (found.seed_cells or 0.0) / (m * s)
    if k == 1:  # the network's own part is no error, as the verdict is about it
        sources += (found.network_cells or 0.0) / s
        samples = [(m, alone, cells)]
    else:
        network, network_cells = (found.networks or 0.0) / k, (found.network_cells or 0.0) / (k * s)
        own, own_cells = found.runs / (k * m), found.cells / (k * m * s)
        samples = [(k, network + own, network_cells + own_cells)]
        if found.seeds is not None and m > 1:
            samples.append((m, alone, cells))
        alone, cells = network + alone, network_cells + cells

    def drawn(axis: int, part: float, free: float) -> np.ndarray:
        return part * _chi_squared(axis, free, len(draws))

    of_sources = drawn(1, sources + cells, freedom)
    variance, least, certainty, unsure = of_sources, of_sources, of_sources**2 / freedom, np.zeros(len(draws))
    least_freedom = np.full(len(draws), freedom)
    for (levels, apart, shared), axes in zip(samples, ((0, 2), (4, 5)), strict=False):
        of_levels = drawn(axes[0], apart + shared, levels - 1)
        both = drawn(axes[1], shared, (levels - 1) * freedom)
        variance = variance + of_levels - both
        least_freedom = np.where(of_levels > least, levels - 1, least_freedom)
        least = np.maximum(least, of_levels)
        certainty = certainty + both**2 / ((levels - 1) * freedom)
        if k > 1:  # as `estimated` counts networks, and runs
            unsure = unsure + of_levels / (levels - 1)
        else:
            certainty = certainty + of_levels**2 / (levels - 1)
    cut_off, variance = variance < least, np.maximum(variance, least)
    worth = np.maximum(variance**2 / (certainty + unsure * variance), 1.0)
    if k == 1:
        worth = np.where(cut_off, least_freedom, worth)
    value = difference + (sources + cells + alone) ** 0.5 * stats.norm.ppf(draws[:, 3])
    unseen = np.asarray(found.unseen * found.seen / s)
    return Estimated(value, variance, worth, unseen, np.asarray(found.grain * found.seen / s))


@cache
def _points() -> np.ndarray:
    """The grid in the unit cube of six dimensions, without its corners."""
    return np.asarray(qmc.Sobol(6, scramble=False).random(POINTS) + 0.5 / POINTS)


@cache
def _chi_squared(axis: int, freedom: float, count: int) -> np.ndarray:
    """Chi-squares over their degrees of freedom at the first points of the grid."""
    return np.asarray(stats.chi2.ppf(_points()[:count, axis], freedom) / freedom)


def _won(found: Components, size: Size, question: Question, points: int = POINTS) -> float:
    said = power(found, size, question, points)
    return sum(said[name] for name in WON)


def _smallest_difference(found: Components, question: Question, at: Size) -> float | None:
    endless = Size(ENDLESS, at.sources, at.sr_seeds)

    def enough(difference: float) -> bool:
        return _won(found, endless, replace(question, difference=difference)) >= question.aim

    low, high = 0.0, 1.0
    if not enough(high):
        return None
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _runs_needed(found: Components, question: Question, at: Size) -> int | None:
    """By bisection: power rises with runs."""

    def enough(runs: int) -> bool:
        return _won(found, Size(runs, at.sources, at.sr_seeds), question) >= question.aim

    low, high = 0, ENDLESS
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
