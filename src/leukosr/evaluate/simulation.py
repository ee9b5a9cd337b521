"""Predictions of arms whose true difference is known, to test the statistics themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from leukosr.evaluate.predictions import Predictions


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


def simulate(design: Design, rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Draw the predictions of two arms on the same images and seeds, with new sources and new runs."""
    label = np.arange(len(design.class_sources)).repeat(design.class_images)
    first = np.concatenate([[0], np.cumsum(design.class_sources)])
    within = np.concatenate([np.arange(design.class_images) % count for count in design.class_sources])
    source = first[label] + within
    common = rng.normal(0, design.source_sd, design.sources)[source]
    run = rng.normal(0, design.run_sd, design.runs)
    gain = gain_for(design)
    one, other = (
        _arm(name, design, shift, source, label, common, run, rng)
        for name, shift in (("first", gain), ("second", -gain))
    )
    return one, other


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


def _arm(
    name: str, design: Design, gain: float, source: np.ndarray, label: np.ndarray, common: np.ndarray,
    run: np.ndarray, rng: np.random.Generator,
) -> Predictions:  # fmt: skip
    own = rng.normal(0, design.source_of_arm_sd, design.sources)[source]
    shifts = run + rng.normal(0, design.run_of_arm_sd, design.runs)
    classes = len(design.class_sources)
    tables = []
    for seed, shift in enumerate(shifts):
        right = rng.random(len(source)) < design.accuracy + gain + common + own + shift
        wrong = (label + rng.integers(1, classes, len(source))) % classes
        tables.append(
            pd.DataFrame(
                {
                    "image": np.char.add("i", np.arange(len(source)).astype(str)),
                    "source": np.char.add("s", source.astype(str)),
                    "seed": seed,
                    "true": np.char.add("c", label.astype(str)),
                    "predicted": np.char.add("c", np.where(right, label, wrong).astype(str)),
                }
            )
        )
    return Predictions(name, pd.concat(tables, ignore_index=True), tuple(f"c{i}" for i in range(classes)))
