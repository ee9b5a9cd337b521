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
from leukosr.evaluate.arms.pairs import Pair, Run
from leukosr.evaluate.arms.significance import LEAST_RUNS, PTests, Verdict, difference, p_values, words
from leukosr.evaluate.arms.two_way import Estimated, Metric, Side, estimated, groupings, scored

POINTS = 4096  # of the grid: powers are within half a point
ENDLESS = 1_000_000  # runs that leave nothing of their own variance
WON: tuple[Verdict, ...] = ("clearly better", "better")


@dataclass(frozen=True)
class Components:
    """Variances of the difference between two arms, and at what size they were seen.

    The score of a study is a mean over runs and sources. runs, networks: how far runs of the classifier, and SR
    networks, lie apart; sources: how far the differences of sources do; cells, network_cells: the interactions of runs
    and of networks with sources. All in fractions squared; those of networks are None where one network was seen, and
    are then part of the others. seen: sources; freedom: what these are worth as degrees of freedom; unseen: as in
    `Estimated`. seeds, seed_cells: where the classifiers' seeds recur in every network, as those of studies do, what a
    seed has in common under all of them (a baseline without networks has the same run under each); runs and cells are
    then the rest. None where no seeds recur.
    """

    runs: float
    sources: float
    cells: float
    networks: float | None
    network_cells: float | None
    seen: int
    freedom: float
    unseen: float
    seeds: float | None = None
    seed_cells: float | None = None


def with_networks(found: Components, variance: float) -> Components:
    """The components of one network where the networks' own is known.

    Both arms' runs are taken to vary alike, and those of the baseline recur under every network.
    """
    return replace(
        found, runs=found.runs / 2, cells=found.cells / 2, networks=variance, network_cells=0.0,
        seeds=found.runs / 2, seed_cells=found.cells / 2,
    )  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Size of a study: runs of the classifier on the images of each SR network, sources, SR networks."""

    runs: int
    sources: int
    sr_seeds: int = 1


@dataclass(frozen=True)
class Planned:
    """The probability of each word at one size; trainings: of classifiers, of both arms."""

    size: Size
    power: dict[Verdict, float]

    def as_record(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        trainings = 2 * self.size.runs * self.size.sr_seeds
        return {**asdict(self.size), "trainings": trainings, "power": self.power}


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
    grid = tuple(Planned(size, power(found, size, question)) for size in sizes)
    return Plan(
        at, question.difference, question.margin, question.family, question.aim, grid,
        _smallest_difference(found, question, at), _runs_needed(found, question, at),
    )  # fmt: skip


def power(found: Components, size: Size, question: Question) -> dict[Verdict, float]:
    """The probability of each word at one size. Bonferroni stands for Holm, whose first step it is."""
    names: tuple[Verdict, ...] = get_args(Verdict)
    if size.runs * size.sr_seeds < LEAST_RUNS:
        return {name: float(name == "inconclusive") for name in names}
    seen = _seen(found, size, question.difference)
    p = p_values(seen, question.margin)
    corrected = PTests(*(np.minimum(1, question.family * getattr(p, kind)) for kind in PTests.__dataclass_fields__))
    said = words(seen, question.margin, corrected)
    return {name: float((said == name).mean()) for name in names}


def _seen(found: Components, size: Size, difference: float) -> Estimated:
    """What studies of one size would see: differences, their variances and degrees of freedom, one a point."""
    m, s, k = size.runs, size.sources, size.sr_seeds
    if k > 1 and found.networks is None:
        raise LeukoError("plan: nothing is known of SR networks: bring a pilot with a column sr_seed, or --sd-sr")
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
    draws = _points()

    def drawn(axis: int, part: float, free: float) -> np.ndarray:
        return np.asarray(part * stats.chi2.ppf(draws[:, axis], free) / free)

    of_sources = drawn(1, sources + cells, freedom)
    variance, least, certainty, unsure = of_sources, of_sources, of_sources**2 / freedom, np.zeros(POINTS)
    least_freedom = np.full(POINTS, freedom)
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
    worth = np.maximum(variance**2 / (certainty + unsure * variance), 1.0)
    worth, variance = np.where(variance < least, least_freedom, worth), np.maximum(variance, least)
    value = difference + (sources + cells + alone) ** 0.5 * stats.norm.ppf(draws[:, 3])
    unseen = np.asarray(found.unseen * found.seen / s)
    return Estimated(value, variance, worth, unseen)


@cache
def _points() -> np.ndarray:
    """The grid in the unit cube of six dimensions, without its corners."""
    return np.asarray(qmc.Sobol(6, scramble=False).random(POINTS) + 0.5 / POINTS)


def _won(found: Components, size: Size, question: Question) -> float:
    said = power(found, size, question)
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


def components(pair: Pair, metric: Metric) -> Components:
    """Take the variance of a pilot's difference apart. Raises LeukoError for less than two paired runs and sources."""
    if not pair.paired or len(pair.runs) < 2 or pair.sources < 2 or not pair.known:
        raise LeukoError(
            f"plan: {pair.a} and {pair.b} are no pilot: it takes two runs with the same seeds in both, or more, and "
            "images of two or more known sources"
        )
    images = pair.first.true.sum((0, 2)) / len(pair.runs)
    (one, influence), (other, other_influence) = scored(pair.first, metric), scored(pair.second, metric)
    scores, influence = one - other, influence - other_influence

    def variance(own: np.ndarray) -> Estimated:
        """What the sources add to the variance of means whose influences are (..., sources)."""
        side = Side((Run(0),), np.zeros((*own.shape[:-1], 1)), own[..., None, :])
        return estimated([side], images, pair.strata)

    def parts(scores: np.ndarray, influence: np.ndarray) -> tuple[float, float]:
        """Of the rows, each as far as it lies apart from the others: their own variance and the interaction's."""
        cells = float(variance(influence - influence.mean(0)).variance.sum()) / (len(scores) - 1)
        return max(float(scores.var(ddof=1)) - cells, 0.0), cells * pair.sources

    def means(levels: list[np.ndarray]) -> tuple[float, float]:
        """`parts` of the means over the runs of each level."""
        return parts(
            np.array([scores[level].mean() for level in levels]),
            np.array([influence[level].mean(0) for level in levels]),
        )

    (levels, *others), total = groupings(pair.runs), variance(influence.mean(0))
    unseen = float(difference(pair, metric).unseen)
    whole, freedom, count = float(total.variance) * pair.sources, float(total.freedom), len(pair.runs)
    if (pair.networks or 1) < 2:
        runs, cells = parts(scores, influence)
        return Components(runs, max(whole - cells / count, 0.0), cells, None, None, pair.sources, freedom, unseen)
    within = [parts(scores[level], influence[level]) for level in levels if len(level) > 1]
    runs, cells = (float(np.mean([each[i] for each in within])) if within else 0.0 for i in (0, 1))
    (networks, network_cells), each = means(levels), count / len(levels)
    of_sources, seeds, seed_cells = whole - network_cells / len(levels), None, None
    if others and len(others[0]) > 1 and len(levels) * len(others[0]) == count:
        common, common_cells = means(others[0])
        seeds, runs = _shared(common, runs, len(levels))
        seed_cells, cells = _shared(common_cells, cells, len(levels))
        of_sources -= seed_cells / each
    return Components(
        runs, max(of_sources, 0.0), cells, max(networks - runs / each, 0.0), max(network_cells - cells / each, 0.0),
        pair.sources, freedom, unseen, seeds, seed_cells,
    )  # fmt: skip


def _shared(of_means: float, within: float, networks: int) -> tuple[float, float]:
    """What a seed has in common under all networks, and what it has under each of them.

    of_means: the variance of the seeds' means over the networks; within: that of seeds within a network.
    """
    own = float(np.clip((within - of_means) * networks / (networks - 1), 0.0, within))
    return within - own, own
