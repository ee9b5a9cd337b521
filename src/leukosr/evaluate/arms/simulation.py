"""Predictions of arms whose true difference is known, to test the statistics themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from leukosr.evaluate.arms.predictions import Counts, Pair, Predictions


@dataclass(frozen=True)
class Design:
    """A comparison to simulate. `accuracy`, `difference` and the sds are fractions.

    class_sources: sources of each class; class_images: images of each class, shared out evenly over its sources.
    An arm is right with probability `accuracy`, shifted by what the source, the run and, for each arm anew, the source
    and the run are worth, cut to 0..1. `difference` is that of the expected accuracies of the two arms, after the cut.
    """

    runs: int = 8
    class_sources: tuple[int, ...] = (18, 18, 17, 17)
    class_images: int = 72
    accuracy: float = 0.8
    difference: float = 0.0
    source_sd: float = 0.15
    run_sd: float = 0.01
    source_of_arm_sd: float = 0.03
    run_of_arm_sd: float = 0.01

    @property
    def sources(self) -> int:
        """All sources."""
        return sum(self.class_sources)


@dataclass(frozen=True)
class Drawn:
    """What two arms said: integers; `source` and `label` by image, `predicted` as (arms, runs, images)."""

    source: np.ndarray
    label: np.ndarray
    predicted: np.ndarray


def draw(design: Design, rng: np.random.Generator) -> Drawn:
    """Draw the predictions of two arms on the same images and seeds, with new sources and new runs."""
    classes = len(design.class_sources)
    label = np.arange(classes).repeat(design.class_images)
    within = np.concatenate([np.arange(design.class_images) % count for count in design.class_sources])
    source = np.concatenate([[0], np.cumsum(design.class_sources)])[label] + within
    common = rng.normal(0, design.source_sd, design.sources) + rng.normal(0, design.run_sd, (design.runs, 1))
    own = rng.normal(0, design.source_of_arm_sd, (2, 1, design.sources))
    own = own + rng.normal(0, design.run_of_arm_sd, (2, design.runs, 1))
    gain = gain_for(design) * np.array([1, -1]).reshape(2, 1, 1)
    rate = (design.accuracy + gain + common + own)[..., source]
    wrong = (label + rng.integers(1, classes, rate.shape)) % classes
    return Drawn(source, label, np.where(rng.random(rate.shape) < rate, label, wrong))


def as_pair(drawn: Drawn, classes: int, by_image: bool = False) -> Pair:
    """The two arms side by side; `by_image` takes every image for a source of its own."""
    source = np.arange(len(drawn.source)) if by_image else drawn.source
    shape = (drawn.predicted.shape[1], int(source.max()) + 1, classes)
    first, second = (_counts(drawn.label, source, predicted, shape) for predicted in drawn.predicted)
    return Pair(
        a="first", b="second", first=first, second=second, seeds=tuple(range(shape[0])),
        strata=first.true.sum(0).argmax(1), images=len(source), known=True, left_out=0,
    )  # fmt: skip


def _counts(label: np.ndarray, source: np.ndarray, predicted: np.ndarray, shape: tuple[int, int, int]) -> Counts:
    runs = np.arange(shape[0])[:, None]
    counts = [np.zeros(shape, np.int64) for _ in range(3)]
    np.add.at(counts[0], (runs, source, predicted), predicted == label)
    np.add.at(counts[1], (runs, source, predicted), 1)
    np.add.at(counts[2], (runs, source, label), 1)
    return Counts(*counts)


def as_predictions(drawn: Drawn, classes: int) -> tuple[Predictions, Predictions]:
    """The two arms as if read from files."""
    images = np.char.add("i", np.arange(len(drawn.source)).astype(str))
    one, other = (
        pd.concat(
            [
                pd.DataFrame(
                    {
                        "image": images,
                        "source": np.char.add("s", drawn.source.astype(str)),
                        "seed": seed,
                        "true": np.char.add("c", drawn.label.astype(str)),
                        "predicted": np.char.add("c", said.astype(str)),
                    }
                )
                for seed, said in enumerate(predicted)
            ],
            ignore_index=True,
        )
        for predicted in drawn.predicted
    )
    names = tuple(f"c{i}" for i in range(classes))
    return Predictions("first", one, names), Predictions("second", other, names)


def gain_for(design: Design) -> float:
    """The shift up of one arm and down of the other that makes their expected accuracies differ as planned."""
    spread = (design.source_sd**2 + design.run_sd**2 + design.source_of_arm_sd**2 + design.run_of_arm_sd**2) ** 0.5

    def missing(gain: float) -> float:
        one, other = (_expected(design.accuracy + shift, spread) for shift in (gain, -gain))
        return one - other - design.difference

    return 0.0 if design.difference == 0 else float(optimize.brentq(missing, 0, 0.5))


def _expected(mean: float, spread: float) -> float:
    """Expectation of a normal variable cut to 0..1."""
    low, high = -mean / spread, (1 - mean) / spread
    inside = stats.norm.cdf(high) - stats.norm.cdf(low)
    return float(mean * inside + spread * (stats.norm.pdf(low) - stats.norm.pdf(high)) + stats.norm.sf(high))
