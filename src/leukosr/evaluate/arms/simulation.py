"""Predictions of arms whose true difference is known, to test the statistics themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from scipy import optimize

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Counts, Pair, Run
from leukosr.evaluate.arms.two_way import Metric

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


Count = Annotated[int, Field(ge=1)]
Sd = Annotated[float, Field(ge=0, le=10)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Design:
    """A comparison to simulate.

    class_sources: sources of each class; class_images: images of each class, shared out over its sources evenly, or
    with `zipf` as 1, 1/2, 1/3, …. An arm is right about an image with a probability whose logit is a constant plus
    normal effects of the source, the run, and for each arm anew of the source, the run and the source in this run, with
    the sds named so.
    sr_seeds: 0, or the number of SR networks, each with `runs` runs of seeds of its own; the network then has an effect
    on the first arm, and a source in that network another, both of network_sd. recurring: as in a study, the seeds of
    the runs recur in every network, with what they have in common, and the second arm has one set of runs. accuracy:
    the expected score of the first arm by the metric that is looked at; the second's is lower by the difference that is
    planted.
    """

    runs: Count = 8
    class_sources: Annotated[tuple[Count, ...], Field(min_length=2)] = (18, 18, 17, 17)
    class_images: tuple[Count, ...] = (72, 72, 72, 72)
    zipf: bool = False
    accuracy: Annotated[float, Field(gt=0, lt=1)] = 0.8
    source_sd: Sd = 1.0
    run_sd: Sd = 0.1
    source_of_arm_sd: Sd = 0.2
    run_of_arm_sd: Sd = 0.1
    source_of_run_sd: Sd = 0.2
    sr_seeds: Annotated[int, Field(ge=0)] = 0
    network_sd: Sd = 0.0
    recurring: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.class_sources) != len(self.class_images):
            classes = f"{len(self.class_sources)} classes and class_images {len(self.class_images)}"
            raise ValueError(f"class_sources names {classes}: name the same")
        return self

    @property
    def sources(self) -> int:
        """All sources."""
        return sum(self.class_sources)

    @property
    def labels(self) -> np.ndarray:
        """The class of each source."""
        return np.arange(len(self.class_sources)).repeat(self.class_sources)

    @property
    def images(self) -> np.ndarray:
        """The images of each source, at least one."""
        sizes = []
        for sources, images in zip(self.class_sources, self.class_images, strict=True):
            shares = 1 / np.arange(1, sources + 1) if self.zipf else np.ones(sources)
            bounds = np.concatenate([[0], np.round(np.cumsum(shares) / shares.sum() * images)])
            sizes.append(np.maximum(1, np.diff(bounds).astype(int)))
        return np.concatenate(sizes)

    @property
    def all_runs(self) -> tuple[Run, ...]:
        """Every run with its seeds."""
        if not self.sr_seeds:
            return tuple(Run(seed) for seed in range(self.runs))
        apart = 0 if self.recurring else self.runs
        return tuple(Run(k * apart + seed, k) for k in range(self.sr_seeds) for seed in range(self.runs))

    @property
    def same_seed(self) -> np.ndarray:
        """The place of the first run with the seed of each run."""
        places = np.arange(len(self.all_runs))
        return places % self.runs if self.recurring else places


def draw(design: Design, metric: Metric, difference: float, count: int, rng: np.random.Generator) -> Pair:
    """Two arms on the same images and seeds, `count` times with new sources and runs: counts (count, runs, …)."""
    runs, sources, labels = len(design.all_runs), design.sources, design.labels

    def effect(sd: float, *shape: int) -> np.ndarray:
        return np.asarray(rng.normal(0, sd, (count, *shape)) if sd else np.zeros((count, *shape)))

    common = effect(design.source_sd, 1, 1, sources) + effect(design.run_sd, 1, runs, 1)[..., design.same_seed, :]
    own = effect(design.source_of_arm_sd, 2, 1, sources) + effect(design.run_of_arm_sd, 2, runs, 1)
    logit = np.array(constants(design, metric, difference)).reshape(2, 1, 1) + common + own
    logit += effect(design.source_of_run_sd, 2, runs, sources)
    if design.sr_seeds:
        network = effect(design.network_sd, design.sr_seeds, 1) + effect(design.network_sd, design.sr_seeds, sources)
        logit[:, 0] += network.repeat(design.runs, axis=1)
    hits = rng.binomial(design.images, 1 / (1 + np.exp(-logit)))
    first, second = (_counts(hits[:, arm], design, labels, rng) for arm in (0, 1))
    if design.recurring:  # every network meets the same runs of the second arm
        second = Counts(*(part[:, design.same_seed] for part in (second.hits, second.predicted, second.true)))
    return Pair(
        a="first", b="second", first=first, second=second, runs=design.all_runs, other_runs=design.all_runs,
        paired=True, strata=labels, images=int(design.images.sum()), without_source=0, left_out=0, shared=1.0,
    )  # fmt: skip


def _counts(hits: np.ndarray, design: Design, labels: np.ndarray, rng: np.random.Generator) -> Counts:
    """Wrong images are taken for any other class alike."""
    classes = len(design.class_sources)
    own = labels[:, None] == np.arange(classes)
    predicted = np.zeros((*hits.shape, classes), np.int64)
    left = design.images - hits
    for step in range(classes - 1):
        part = rng.binomial(left, 1 / (classes - 1 - step))
        place = (labels + 1 + step) % classes
        np.put_along_axis(predicted, np.broadcast_to(place[:, None], (*hits.shape, 1)), part[..., None], axis=-1)
        left = left - part
    return Counts(
        hits=hits[..., None] * own,
        predicted=predicted + hits[..., None] * own,
        true=np.broadcast_to(design.images[:, None] * own, predicted.shape),
    )


def one(pairs: Pair, index: int) -> Pair:
    """One of the data sets that were drawn together."""
    first, second = (
        Counts(side.hits[index], side.predicted[index], side.true[index]) for side in (pairs.first, pairs.second)
    )
    return replace(pairs, first=first, second=second)


def constants(design: Design, metric: Metric, difference: float) -> tuple[float, float]:
    """The constants of the two arms' logits that give the expected scores asked for."""
    network = design.network_sd if design.sr_seeds else 0.0
    shared = (
        design.source_sd**2
        + design.run_sd**2
        + design.source_of_arm_sd**2
        + design.run_of_arm_sd**2
        + design.source_of_run_sd**2
    )
    spreads = ((shared + 2 * network**2) ** 0.5, shared**0.5)
    scores = (design.accuracy, design.accuracy - difference)
    first, second = (_constant(design, metric, *each) for each in zip(spreads, scores, strict=True))
    return first, second


def _constant(design: Design, metric: Metric, spread: float, score: float) -> float:
    def missing(centre: float) -> float:
        return expected_score(design, metric, centre, spread) - score

    if missing(-20) * missing(20) > 0:
        raise LeukoError(f"an expected {metric} of {score:g} is out of reach with these sds: lower the sds, or it")
    return float(optimize.brentq(missing, -20, 20))


def expected_score(design: Design, metric: Metric, centre: float, spread: float) -> float:
    """The score of the expected counts of an arm whose logits are normal."""
    accuracy = float((1 / (1 + np.exp(-centre - spread * NODES))) @ WEIGHTS / WEIGHTS.sum())
    if metric == "accuracy":
        return accuracy
    true = np.array([design.images[design.labels == label].sum() for label in range(len(design.class_sources))])
    predicted = accuracy * true + (1 - accuracy) * (true.sum() - true) / (len(true) - 1)
    return float((2 * accuracy * true / (predicted + true)).mean())
