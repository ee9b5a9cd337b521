"""Is one arm better than another, and by enough to matter? Seven words, each with the p that decides it.

The unit is not the image: augmented copies of one micrograph are one observation (a source), and runs that share a
seed are pairs. Every word rests on one statistic, Student's t over runs and sources (`two_way`), which no random number
enters. Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks"; Schuirmann 1987 (two
one-sided tests of equivalence).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from leukosr.evaluate.arms.conditional import mcnemar, sign_flip, source_differences
from leukosr.evaluate.arms.pairs import Counts, Pair
from leukosr.evaluate.arms.two_way import (
    METRICS,
    Estimated,
    Metric,
    Side,
    agreement,
    estimated,
    scored,
    variance_left,
)

Verdict = Literal["clearly better", "clearly worse", "equivalent", "better", "worse", "no gain", "inconclusive"]
WORDS: tuple[Verdict, ...] = get_args(Verdict)
LEVEL = 0.05
MARGIN = 0.02
LEAST_RUNS = 6
LEAST_SOURCES = 3  # two agree by luck too often, and then show no variance
LEAST_SHARED = 0.9  # of an arm's test images: with fewer in common, arms are of different protocols or studies
METHOD_NETWORKS = 3  # SR networks from which on a verdict is about the method


@dataclass(frozen=True)
class Comparison:
    """Arm `a` against arm `b` by one metric. Differences (a - b), bounds, margins and probabilities are fractions.

    ci_low, ci_high: 95 %, ci90_low, ci90_high: 90 % over runs and sources; None with a single source, and of this one
    run with one. margin: the difference that matters. verdict: the first that applies of `clearly better`,
    `clearly worse` (the 95 % interval lies beyond the margin), `equivalent` (the 90 % interval lies inside it),
    `better`, `worse` (the 95 % interval lies beside 0), `no gain` (the one-sided 95 % upper bound lies below the
    margin), each with a p below .05 after Holm's correction, and `inconclusive`. reason: why nothing else was possible,
    where it was not. alone: the verdict without that correction. p_value: that of the verdict (of a two-sided
    difference, of two one-sided tests, or one-sided), p_holm: corrected for the family; None with one run.
    smallest_margin: gains as large as this are excluded (ci90_high, at least 0). frequency: share of pairs of runs in
    which a is higher; p_improvement: with ties as one half.
    sources: an image that names none counts as one of its own; without_source: how many images do so.
    declared: whether the comparison was declared before the first run, by this metric; None where nothing says.
    Conditional figures, which decide nothing: p_runs (sign flips over paired runs, these sources given), p_source (over
    known sources, by accuracy, these runs given), p_mcnemar (exact, for one run and one image of each known source).
    """

    a: str
    b: str
    metric: Metric
    primary: bool
    difference: float
    ci_low: float | None
    ci_high: float | None
    ci90_low: float | None
    ci90_high: float | None
    margin: float
    smallest_margin: float | None
    frequency: float
    p_improvement: float
    p_value: float | None
    p_holm: float | None
    verdict: Verdict
    reason: str | None
    p_runs: float | None
    p_source: float | None
    p_mcnemar: float | None
    runs: int
    paired: bool
    networks: int | None
    images: int
    sources: int
    declared: bool | None = None
    without_source: int = 0
    alone: Verdict = "inconclusive"

    @property
    def enough_runs(self) -> bool:
        """Whether there are as many runs as a verdict takes; the interval and p of fewer are not to be shown."""
        return enough_runs(self.runs)


def enough_runs(runs: int) -> bool:
    """Whether a verdict is possible by so many runs, of each arm where they are not paired."""
    return runs >= LEAST_RUNS


@dataclass(frozen=True)
class PTests:
    """The p of each kind of claim, arrays (...): any difference, one within the margin, a gain below the margin."""

    different: np.ndarray
    equivalent: np.ndarray
    no_gain: np.ndarray


def compare(
    pairs: Sequence[Pair], primary: Metric = "macro_f1", margin: float = MARGIN, unseen: int = 0
) -> list[Comparison]:
    """Compare every pair by accuracy and macro F1. The pairs are one family, corrected by Holm for each metric.

    unseen: further members of the family that are not here; each counts as one without a small p. So does, for the
    others, a pair that can have no verdict (`reason`); its own p is corrected over the whole family.
    """
    found: list[Comparison] = []
    for metric in METRICS:
        judged = [_figures(each, metric, metric == primary, margin) for each in pairs]
        tests = [None if estimate is None else p_values(estimate, margin) for _, estimate in judged]
        sound = [None if figures.reason else own for (figures, _), own in zip(judged, tests, strict=True)]
        absent = [None] * unseen
        among, apart = _corrected([*tests, *absent]), _corrected([*sound, *absent])
        for (figures, estimate), own, *holms in zip(judged, tests, apart, among, strict=False):  # without the absent
            corrected = holms[figures.reason is not None]
            if estimate is None or own is None or corrected is None:
                found.append(figures)
            else:
                found.append(_with_word(figures, estimate, own, corrected))
    return found


def difference(pair: Pair, metric: Metric) -> Estimated:
    """The mean difference of the arms' scores over runs and sources; needs two sources."""
    first, second = scored(pair.first, metric), scored(pair.second, metric)
    if pair.paired:
        sides = [Side(pair.runs, first[0] - second[0], first[1] - second[1])]
    else:
        sides = [Side(pair.runs, *first), Side(pair.other_runs, *second, sign=-1)]
    images = (pair.first.true.sum(-1).mean(-2) + pair.second.true.sum(-1).mean(-2)) / 2
    found = estimated(sides, images.reshape(-1, pair.sources)[0], pair.strata)
    middle = (first[0].mean(-1) + second[0].mean(-1)) / 2
    # what sources do to a score is as skewed as a coin with that share of heads, so not at all at one half
    return replace(found, unseen=found.unseen * abs(1 - 2 * middle), grain=_grain(pair, metric))


def _grain(pair: Pair, metric: Metric) -> np.ndarray:
    """The variance of a score, in those of one image in one run, by how far runs agree on images.

    Macro F1 gives every class that has test images the same weight.
    """
    of_classes = (pair.first.true.sum(-2).mean(-2) + pair.second.true.sum(-2).mean(-2)) / 2
    weights = of_classes if metric == "accuracy" else np.asarray(of_classes > 0, float)
    shares = weights / weights.sum(-1, keepdims=True)
    agreed = np.mean([_agreement(pair.first), _agreement(pair.second)], axis=0)
    runs = min(len(pair.runs), len(pair.other_runs))
    images = np.where(of_classes > 0, of_classes, 1.0)
    return np.asarray((shares**2 / images).sum(-1) * variance_left(agreed, runs))


def _agreement(counts: Counts) -> np.ndarray:
    return agreement(counts.hits.sum(-1), counts.true.sum((-2, -1)).mean(-1))


def p_values(estimate: Estimated, margin: float) -> PTests:
    """Of a difference at all (two-sided), of one within the margin (two one-sided tests), of a gain below it."""
    below, above = estimate.p_below(margin), estimate.p_above(-margin)
    return PTests(estimate.p_different(), np.maximum(below, above), below)


def words(estimate: Estimated, margin: float, p: PTests) -> np.ndarray:
    """The verdicts that p values after Holm allow, in their order of precedence."""
    low, high = estimate.interval(1 - LEVEL)
    low90, high90 = estimate.interval(1 - 2 * LEVEL)
    different, inside = p.different < LEVEL, (low90 > -margin) & (high90 < margin)
    conditions = {
        "clearly better": different & (low > margin),
        "clearly worse": different & (high < -margin),
        "equivalent": (p.equivalent < LEVEL) & inside,
        "better": different & (low > 0),
        "worse": different & (high < 0),
        "no gain": (p.no_gain < LEVEL) & (high90 < margin),
    }
    return np.select(list(conditions.values()), list(conditions), "inconclusive")


def _figures(pair: Pair, metric: Metric, primary: bool, margin: float) -> tuple[Comparison, Estimated | None]:
    """All but the verdict and its p; the estimate is None where neither is possible."""
    scores, others = scored(pair.first, metric)[0], scored(pair.second, metric)[0]
    apart = scores - others if pair.paired else (scores[:, None] - others).ravel()
    single = pair.sources < 2
    estimate = None if single else difference(pair, metric)
    bounds: list[float | None] = [None] * 4
    if estimate is not None:
        bounds = [float(np.clip(bound, -1, 1)) for level in (0.95, 0.9) for bound in estimate.interval(level)]
    runs = min(len(pair.runs), len(pair.other_runs))
    found = Comparison(
        a=pair.a,
        b=pair.b,
        metric=metric,
        primary=primary,
        difference=float(apart.mean() if estimate is None else estimate.value),
        ci_low=bounds[0],
        ci_high=bounds[1],
        ci90_low=bounds[2],
        ci90_high=bounds[3],
        margin=margin,
        smallest_margin=None if bounds[3] is None else max(0.0, bounds[3]),
        frequency=float((apart > 0).mean()),
        p_improvement=float((apart > 0).mean() + (apart == 0).mean() / 2),
        p_value=None,
        p_holm=None,
        verdict="inconclusive",
        reason=_reason(pair, runs),
        p_runs=sign_flip(apart) if runs > 1 and pair.paired else None,
        p_source=sign_flip(source_differences(pair)) if metric == "accuracy" and pair.known and not single else None,
        p_mcnemar=mcnemar(pair) if runs == 1 and pair.known and pair.images == pair.sources and pair.paired else None,
        runs=runs,
        paired=pair.paired,
        networks=pair.networks,
        images=pair.images,
        sources=pair.sources,
        without_source=pair.without_source,
    )
    return found, estimate if runs > 1 else None


def _reason(pair: Pair, runs: int) -> str | None:
    """Why no word but `inconclusive` is possible, whatever the figures."""
    if not pair.known:
        return "not every image names its source, so copies of one micrograph may count as many"
    if pair.shared < LEAST_SHARED:
        return (
            f"the arms have only {100 * pair.shared:.0f} % of their test images in common, so they are of different "
            "splits and differ in their training images, too"
        )
    if pair.sources < 2:
        return "all images are of one source"
    if pair.sources < LEAST_SOURCES:
        return f"{pair.sources} sources, and a verdict takes {LEAST_SOURCES}"
    if not enough_runs(runs):
        kind = "paired runs" if pair.paired else "runs of one arm"
        return "one run" if runs == 1 else f"{runs} {kind}, and a verdict takes {LEAST_RUNS}"
    return None


def _with_word(found: Comparison, estimate: Estimated, own: PTests, corrected: PTests) -> Comparison:
    word, alone = (_word(found, estimate, tests) for tests in (corrected, own))
    deciding: Callable[[PTests], np.ndarray] = {
        "equivalent": lambda p: p.equivalent,
        "no gain": lambda p: p.no_gain,
    }.get(word, lambda p: p.different)
    p_value, p_holm = float(deciding(own)), float(deciding(corrected))
    return replace(found, verdict=word, alone=alone, p_value=p_value, p_holm=p_holm)


def _word(found: Comparison, estimate: Estimated, tests: PTests) -> Verdict:
    return "inconclusive" if found.reason else str(words(estimate, found.margin, tests))  # type: ignore[return-value]


def _corrected(tests: Sequence[PTests | None]) -> list[PTests | None]:
    """Holm over the family, each kind of claim by itself."""
    kinds = [
        holm([None if each is None else float(getattr(each, kind)) for each in tests])
        for kind in ("different", "equivalent", "no_gain")
    ]
    return [
        None if each is None else PTests(*(np.asarray(p) for p in ps)) for each, *ps in zip(tests, *kinds, strict=True)
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None stays None but counts as a member of the family."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        corrected[i] = highest
    return corrected
