"""Is one arm better than another? Differences with intervals over runs and sources, and three words.

The unit is not the image: augmented copies of one micrograph are one observation (a source), and runs that share a
seed are pairs. Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks"; Agarwal et al. 2021
(probability of improvement); Cameron, Gelbach & Miller 2011 (two-way clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from leukosr.evaluate.arms.predictions import Counts, Pair

Metric = Literal["accuracy", "macro_f1"]
Verdict = Literal["better", "meaningful", "inconclusive"]
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1")
LEVEL = 0.05
MEANINGFUL = 0.75
EXACT_PAIRS = 16  # up to 65,536 sign patterns are all tried, above that as many are drawn


@dataclass(frozen=True)
class Comparison:
    """Arm `a` against arm `b` by one metric. Differences (a - b), bounds and probabilities are fractions.

    ci_low, ci_high: None with a single source. p_improvement: share of paired runs in which a is higher, ties one half;
    p_improvement_low: its lower 95 % bound. p_value: sign flips over paired runs; p_holm: after Holm over the family.
    Both are None with one common seed. p_source: sign flips over known sources, on accuracy's difference in each (None
    for macro F1); p_mcnemar: exact, only for one common seed and one image of each known source. Where the sources are
    not known every image counts as one, and copies make the interval too narrow. verdict: `better`, `meaningful`
    (better, and in 75 % of runs) or `inconclusive`.
    """

    a: str
    b: str
    metric: Metric
    primary: bool
    difference: float
    ci_low: float | None
    ci_high: float | None
    p_improvement: float
    p_improvement_low: float
    p_value: float | None
    p_holm: float | None
    p_source: float | None
    p_mcnemar: float | None
    verdict: Verdict
    runs: int
    images: int
    sources: int


def compare(pairs: Sequence[Pair], primary: Metric = "macro_f1", draws: int = 2000, seed: int = 0) -> list[Comparison]:
    """Compare every pair by accuracy and macro F1. The pairs are one family, corrected by Holm for each metric.

    draws: bootstrap draws over sources. A loss that is more than chance is told with the pair turned round, so that
    `a` is the better arm of every verdict but `inconclusive`.
    """
    found: list[Comparison] = []
    for metric in METRICS:
        family = [_compare_one(each, metric, metric == primary, draws, seed) for each in pairs]
        corrected = holm([each.p_value for each in family])
        found += [_judged(replace(each, p_holm=p)) for each, p in zip(family, corrected, strict=True)]
    return found


def _compare_one(pair: Pair, metric: Metric, primary: bool, draws: int, seed: int) -> Comparison:
    runs = len(pair.seeds)
    differences = scores_by_run(pair.first, metric) - scores_by_run(pair.second, metric)
    low, high = interval(pair, metric, draws, np.random.default_rng([seed, 1]))
    wins = float((differences > 0).sum() + 0.5 * (differences == 0).sum())
    by_source = metric == "accuracy" and pair.known  # images that are copies of each other would count as many
    return Comparison(
        a=pair.a,
        b=pair.b,
        metric=metric,
        primary=primary,
        difference=float(differences.mean()),
        ci_low=low,
        ci_high=high,
        p_improvement=wins / runs,
        p_improvement_low=wilson(wins, runs)[0],
        p_value=sign_flip(differences, np.random.default_rng([seed, 2])) if runs > 1 else None,
        p_holm=None,
        p_source=sign_flip(_source_differences(pair), np.random.default_rng([seed, 3])) if by_source else None,
        p_mcnemar=mcnemar(pair) if runs == 1 and pair.known and pair.images == pair.sources else None,
        verdict="inconclusive",
        runs=runs,
        images=pair.images,
        sources=pair.sources,
    )


def _judged(found: Comparison) -> Comparison:
    """The verdict of one comparison; a loss turns the pair round."""
    turned = found
    if found.difference < 0:
        turned = replace(
            found, a=found.b, b=found.a, difference=-found.difference,
            ci_low=None if found.ci_high is None else -found.ci_high,
            ci_high=None if found.ci_low is None else -found.ci_low,
            p_improvement=1 - found.p_improvement,
            p_improvement_low=wilson((1 - found.p_improvement) * found.runs, found.runs)[0],
        )  # fmt: skip
    if turned.p_holm is None or turned.ci_low is None:
        return found
    if turned.p_holm >= LEVEL or turned.ci_low <= 0 or turned.p_improvement_low <= 0.5:
        return found
    return replace(turned, verdict="meaningful" if turned.p_improvement >= MEANINGFUL else "better")


def interval(
    pair: Pair, metric: Metric, draws: int, rng: np.random.Generator
) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of the mean difference over runs and sources, as new ones of both would give it.

    Sources are resampled class by class, all runs and both arms alike; runs add their own variance, and what both
    count, the interaction, is taken off once (two-way clusters). Student's t with Satterthwaite's degrees of freedom
    instead of percentiles: those of 14 clusters cover about 89 %. None with a single source, as nothing then tells how
    much another would change.
    """
    if pair.sources < 2:
        return None, None
    runs = len(pair.seeds)
    differences = scores_by_run(pair.first, metric) - scores_by_run(pair.second, metric)
    centre = float(differences.mean())
    of_runs = float(differences.var(ddof=1)) / runs if runs > 1 else 0.0
    strata = [_Stratum(pair, members, metric, draws, rng) for members in _strata(pair)]
    of_sources = sum(stratum.variance for stratum in strata)
    both = 0.0
    if runs > 1:
        cells = sum(stratum.cells for stratum in strata)
        both = max(0.0, (cells - of_sources / runs) * runs / (runs - 1))
    variance = max(of_runs + of_sources - both, of_runs, of_sources)
    if variance == 0:
        return centre, centre
    certainty = sum(stratum.variance**2 / stratum.freedom for stratum in strata)
    certainty += of_runs**2 / (runs - 1) if runs > 1 else 0.0
    margin = float(stats.t.ppf(1 - LEVEL / 2, (of_runs + of_sources) ** 2 / certainty)) * variance**0.5
    return max(-1.0, centre - margin), min(1.0, centre + margin)


def _strata(pair: Pair) -> list[np.ndarray]:
    """The sources of each class. A class with one source joins the smallest other one: alone it shows no variance."""
    groups = sorted((np.flatnonzero(pair.strata == label) for label in np.unique(pair.strata)), key=len)
    while len(groups) > 1 and len(groups[0]) == 1:
        groups = sorted([np.concatenate(groups[:2]), *groups[2:]], key=len)
    return groups


class _Stratum:
    """What resampling the sources of one class, the others as they are, does to the differences.

    variance: of the mean over runs; cells: of the runs one by one, as if each had sources of its own.
    """

    def __init__(self, pair: Pair, members: np.ndarray, metric: Metric, draws: int, rng: np.random.Generator) -> None:
        count = len(members)
        change = rng.multinomial(count, np.full(count, 1 / count), size=draws) - 1.0
        sides = []
        for side in (pair.first, pair.second):
            hits, predicted, true = (
                part.sum(1) + _weighted(change, part[:, members]) for part in (side.hits, side.predicted, side.true)
            )
            sides.append(_metric(hits, predicted, true, metric))
        drawn = sides[0] - sides[1]
        self.freedom = count - 1
        longer = count / self.freedom  # a bootstrap's variance is short by this
        self.variance = float(drawn.mean(1).var()) * longer
        self.cells = float(drawn.var(0).sum()) / drawn.shape[1] ** 2 * longer


def scores_by_run(counts: Counts, metric: Metric) -> np.ndarray:
    """The score of each run, a fraction: float64 of shape (runs,)."""
    return _metric(counts.hits.sum(1), counts.predicted.sum(1), counts.true.sum(1), metric)


def _metric(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray, metric: Metric) -> np.ndarray:
    """Accuracy or macro F1 from counts whose last axis is the class; a class without any count has F1 0."""
    if metric == "accuracy":
        return np.asarray(hits.sum(-1) / np.maximum(true.sum(-1), 1))  # a draw may leave a run without images
    return np.asarray((2 * hits / np.maximum(predicted + true, 1)).mean(-1))


def _weighted(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    runs, sources, classes = counts.shape
    flat = counts.transpose(1, 0, 2).reshape(sources, runs * classes).astype(np.float64)
    return np.asarray((weights @ flat).reshape(len(weights), runs, classes))


def _source_differences(pair: Pair) -> np.ndarray:
    """Difference of the fractions correct in each source, over all runs."""
    total = pair.first.true.sum((0, 2))
    return np.asarray((pair.first.hits.sum((0, 2)) - pair.second.hits.sum((0, 2))) / total)


def sign_flip(differences: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p of paired differences under random signs: exact up to 16 pairs, else from 65,536 draws."""
    moving = differences[differences != 0]
    if not len(moving):
        return 1.0
    observed = abs(moving.sum()) * (1 - 1e-12)
    if len(moving) <= EXACT_PAIRS:
        patterns = np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving)) & 1
        return float((abs((1 - 2 * patterns) @ moving) >= observed).mean())
    count = 2**EXACT_PAIRS
    passed = 0
    for _ in range(64):  # in parts, as sources may be thousands
        signs = 1 - 2 * rng.integers(0, 2, (count // 64, len(moving)), dtype=np.int8)
        passed += int((abs(signs @ moving) >= observed).sum())
    return float((passed + 1) / (count + 1))


def smallest_p(runs: int, family: int) -> float:
    """The smallest p after Holm that so many paired runs and comparisons can reach; 1 at most."""
    return float(min(1.0, max(2.0 ** (1 - runs), 1 / (2**EXACT_PAIRS + 1)) * family))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None stays None but counts as a member of the family."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        corrected[i] = highest
    return corrected


def wilson(successes: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a fraction; successes and trials need not be whole."""
    z = float(stats.norm.ppf(1 - level / 2))
    rate, scale = successes / trials, 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    margin = z * (rate * (1 - rate) / trials + z * z / (4 * trials * trials)) ** 0.5 / scale
    return max(0.0, centre - margin), min(1.0, centre + margin)


def mcnemar(pair: Pair) -> float:
    """Exact McNemar p of one run. It takes images for independent, so it needs one image a source."""
    change = pair.first.hits.sum((0, 2)) - pair.second.hits.sum((0, 2))
    only_first, only_second = int((change > 0).sum()), int((change < 0).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)
