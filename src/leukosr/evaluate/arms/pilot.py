"""What a pilot shows of the variance of the difference between two arms, and how well it knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.stats import qmc

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Pair, Run
from leukosr.evaluate.arms.significance import difference
from leukosr.evaluate.arms.two_way import Estimated, Metric, Side, estimated, groupings, scored

REDRAWN = 64  # components that a pilot does not exclude


@dataclass(frozen=True)
class Components:
    """Variances of the difference between two arms, and at what size they were seen.

    The score of a study is a mean over runs and sources. runs, networks: how far runs of the classifier, and SR
    networks, lie apart; sources: how far the differences of sources do; cells, network_cells: the interactions of runs
    and of networks with sources. All in fractions squared; those of networks are None where one network was seen, and
    are then part of the others. seen: sources; freedom: what these are worth as degrees of freedom; unseen: as in
    `Estimated`. seeds, seed_cells: where the classifiers' seeds recur in every network, as those of studies do, what a
    seed has in common under all of them (a baseline without networks has the same run under each); runs and cells are
    then the rest. None where no seeds recur. pilot: the runs of each network and the networks of the pilot; None where
    the components are taken as known. grain: as in `Estimated`; 0 where the number of images is not known.
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
    pilot: tuple[float, int] | None = None
    grain: float = 0.0


def assumed(*, sources: float, seen: int, runs: float = 0.0, cells: float = 0.0, score: float = 0.75) -> Components:
    """Components without a pilot: the variances over single sources and runs, how many sources, and a rough score."""
    return Components(
        runs=runs, sources=sources, cells=cells, networks=None, network_cells=None, seen=seen, freedom=seen - 1,
        unseen=abs(1 - 2 * score) / seen,
    )  # fmt: skip


def with_networks(found: Components, variance: float) -> Components:
    """The components of one network where the networks' own is known.

    Both arms' runs are taken to vary alike, and those of the baseline recur under every network.
    """
    return replace(
        found,
        runs=found.runs / 2,
        cells=found.cells / 2,
        networks=variance,
        network_cells=0.0,
        seeds=found.runs / 2,
        seed_cells=found.cells / 2,
    )


def components(pair: Pair, metric: Metric) -> Components:
    """Take the variance of a pilot's difference apart. Raises LeukoError for less than two paired runs and sources."""
    if not pair.paired or len(pair.runs) < 2 or pair.sources < 2 or not pair.known:
        raise LeukoError(
            f"{pair.a} and {pair.b} cannot be a pilot: it takes two runs with the same seeds in both, or more, "
            "and images of two or more known sources"
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
    as_judged = difference(pair, metric)
    unseen, grain = float(as_judged.unseen), float(as_judged.grain)
    whole, freedom, count = float(total.variance) * pair.sources, float(total.freedom), len(pair.runs)
    if (pair.networks or 1) < 2:
        runs, cells = parts(scores, influence)
        sources = max(whole - cells / count, 0.0)
        return Components(
            runs, sources, cells, None, None, pair.sources, freedom, unseen, None, None, (count, 1), grain
        )
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
        pair.sources, freedom, unseen, seeds, seed_cells, (each, len(levels)), grain,
    )  # fmt: skip


def _shared(of_means: float, within: float, networks: int) -> tuple[float, float]:
    """What a seed has in common under all networks, and what it has under each of them.

    of_means: the variance of the seeds' means over the networks; within: that of seeds within a network.
    """
    own = float(np.clip((within - of_means) * networks / (networks - 1), 0.0, within))
    return within - own, own


def not_excluded(found: Components) -> list[Components]:
    """Components that a pilot may as well have come from; empty where they are taken as known.

    Generalised confidence intervals (Weerahandi 1993): every mean square of the pilot, taken apart anew after it was
    divided by a chi-square over its degrees of freedom, at the points of a fixed grid. The interactions of networks and
    of seeds with sources keep their share of those of networks and seeds.
    """
    if found.pilot is None:
        return []
    runs, networks = found.pilot
    grid = np.asarray(qmc.Sobol(5, scramble=False).random(REDRAWN) + 0.5 / REDRAWN)
    within = max(networks * (runs - 1), 1)
    if found.seeds is not None:
        within = (networks - 1) * (runs - 1)
    free = (found.freedom, within, within * found.freedom, networks - 1, runs - 1)
    of_sources, of_runs, of_cells, of_networks, of_seeds = (
        each / stats.chi2.ppf(grid[:, axis], each) if each else np.ones(REDRAWN) for axis, each in enumerate(free)
    )
    cells = found.cells * of_cells
    own = found.runs + found.cells / found.seen
    alone = np.maximum(own * of_runs - cells / found.seen, 0.0)

    def again(part: float | None, factor: np.ndarray, shared_by: float) -> np.ndarray | None:
        """A part whose mean square also holds the runs' own, shared by so many of them."""
        if part is None:
            return None
        whole = (part + own / shared_by) * factor
        return np.maximum(whole - (alone + cells / found.seen) / shared_by, 0.0)

    kept = found.cells / (runs * networks)
    sources = np.maximum((found.sources + kept) * of_sources - cells / (runs * networks), 0.0)
    network, seeds = again(found.networks, of_networks, runs), again(found.seeds, of_seeds, networks)
    return [
        replace(
            found,
            runs=float(alone[i]),
            sources=float(sources[i]),
            cells=float(cells[i]),
            networks=None if network is None else float(network[i]),
            seeds=None if seeds is None else float(seeds[i]),
        )
        for i in range(REDRAWN)
    ]
