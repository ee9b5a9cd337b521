"""How many independent observations a test set holds, when several images show one source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukosr.evaluate.arms.cells import by_run
from leukosr.evaluate.arms.predictions import Predictions, run_columns
from leukosr.evaluate.arms.score import score_with_interval
from leukosr.evaluate.classification import score


@dataclass(frozen=True)
class SampleSize:
    """Test images of one arm and what they are worth. Fractions in [0, 1].

    known: whether every image names its source; one that does not counts as its own. macro_f1, accuracy: means over
    runs; low, high: the 95 % interval of accuracy over runs and sources, of this one run where runs is 1; None with a
    single source. icc: how alike the images of a source are classified, by one-way analysis of variance, mean over
    runs; effective: n / (1 + (m - 1) icc) with m the mean number of images that an image's own source has,
    sum m^2 / sum m (Kish 1965). Both are None where they are undefined (one image in every source, or every image
    classified alike).
    """

    name: str
    images: int
    sources: int
    known: bool
    runs: int
    macro_f1: float
    accuracy: float
    low: float | None
    high: float | None
    icc: float | None
    effective: float | None


def sample_size(predictions: Predictions) -> SampleSize:
    """Count images and sources of an arm; an image without a source is its own."""
    table = predictions.table
    correct = table["true"] == table["predicted"]
    source = table["source"].where(table["source"] != "", "image:" + table["image"])
    runs = run_columns(table)
    frame = table[["image", *runs]].assign(source=source, correct=correct)
    accuracy = score_with_interval(predictions, "accuracy")
    counts = frame.drop_duplicates("image").groupby("source").size().to_numpy()
    found = [intraclass(own["correct"], own["source"]) for _, own in frame.groupby(runs)]
    defined = [icc for icc in found if icc is not None]
    icc = float(np.mean(defined)) if defined else None
    images, together = int(counts.sum()), float((counts**2).sum() / counts.sum())
    return SampleSize(
        name=predictions.name,
        images=images,
        sources=len(counts),
        known=bool((table["source"] != "").all()),
        runs=len(found),
        macro_f1=float(
            np.mean(
                [
                    score(list(run["true"]), list(run["predicted"]), predictions.classes).macro_f1
                    for run in by_run(table)
                ]
            )
        ),
        accuracy=accuracy.value,
        low=accuracy.ci_low,
        high=accuracy.ci_high,
        icc=icc,
        effective=None if icc is None else images / (1 + (together - 1) * icc),
    )


def intraclass(correct: pd.Series, source: pd.Series) -> float | None:
    """Intraclass correlation of correctness in a source, within [0, 1]: the one-way analysis-of-variance estimator.

    None where no source has two images, there is one source, or all images are alike.
    """
    groups = correct.astype(float).groupby(source).agg(["size", "mean"])
    sizes, rates = groups["size"].to_numpy(), groups["mean"].to_numpy()
    total, count = sizes.sum(), len(sizes)
    if count < 2 or total == count:
        return None
    between = (sizes * (rates - correct.mean()) ** 2).sum() / (count - 1)
    within = (sizes * rates * (1 - rates)).sum() / (total - count)
    typical = (total - (sizes**2).sum() / total) / (count - 1)
    whole = between + (typical - 1) * within
    return float(np.clip((between - within) / whole, 0, 1)) if whole > 0 else None
