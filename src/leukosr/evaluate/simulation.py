"""Predictions of arms whose true difference is known, to test the statistics themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukosr.evaluate.predictions import Predictions


@dataclass(frozen=True)
class Design:
    """A comparison to simulate. `accuracy`, `difference` and the sds are fractions.

    Each arm is right with probability `accuracy` (the first with `difference` more), shifted by what the source, the
    run, and the source within a run are worth; the last three differ between the arms by their own sds.
    """

    runs: int = 8
    sources: int = 70
    views: int = 4
    classes: int = 4
    accuracy: float = 0.8
    difference: float = 0.0
    source_sd: float = 0.15
    run_sd: float = 0.01
    source_of_arm_sd: float = 0.03
    run_of_arm_sd: float = 0.01


def simulate(design: Design, rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Draw the predictions of two arms on the same images and seeds, with new sources and new runs."""
    source = np.arange(design.sources).repeat(design.views)
    label = source % design.classes
    common = rng.normal(0, design.source_sd, design.sources)[source]
    run = rng.normal(0, design.run_sd, design.runs)
    return tuple(  # type: ignore[return-value]
        _arm(name, design, gain, source, label, common, run, rng)
        for name, gain in (("first", design.difference / 2), ("second", -design.difference / 2))
    )


def _arm(
    name: str, design: Design, gain: float, source: np.ndarray, label: np.ndarray, common: np.ndarray,
    run: np.ndarray, rng: np.random.Generator,
) -> Predictions:  # fmt: skip
    own = rng.normal(0, design.source_of_arm_sd, design.sources)[source]
    shifts = run + rng.normal(0, design.run_of_arm_sd, design.runs)
    tables = []
    for seed, shift in enumerate(shifts):
        right = rng.random(len(source)) < design.accuracy + gain + common + own + shift
        wrong = (label + rng.integers(1, design.classes, len(source))) % design.classes
        predicted = np.where(right, label, wrong)
        tables.append(
            pd.DataFrame(
                {
                    "image": np.char.add("i", np.arange(len(source)).astype(str)),
                    "source": np.char.add("s", source.astype(str)),
                    "seed": seed,
                    "true": np.char.add("c", label.astype(str)),
                    "predicted": np.char.add("c", predicted.astype(str)),
                }
            )
        )
    return Predictions(name, pd.concat(tables, ignore_index=True), tuple(f"c{i}" for i in range(design.classes)))
