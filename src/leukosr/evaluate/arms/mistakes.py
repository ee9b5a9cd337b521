"""What the classifiers of an experiment say of a cell together, and where they are surely wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Mistake:
    """A test image that is named wrongly by the mean probabilities over runs.

    confidence: the mean probability of the class `said`, in [0, 1]; wrong: how many of the `runs`
    are wrong by themselves.
    """

    image: str
    true: str
    said: str
    confidence: float
    wrong: int
    runs: int


def said_together(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """A row per image: true, said (the class with the highest mean probability over runs), confidence, wrong, runs.

    `predictions` has the columns of predictions.csv; the index is `image`, sorted.
    """
    columns = [f"p_{name}" for name in classes]
    images = predictions.groupby("image", sort=True)
    means = images[columns].mean()
    wrong = (predictions["true"] != predictions["predicted"]).groupby(predictions["image"], sort=True)
    return pd.DataFrame(
        {
            "true": images["true"].first(),
            "said": np.array(classes)[means.to_numpy().argmax(1)],
            "confidence": means.max(axis=1),
            "wrong": wrong.sum(),
            "runs": wrong.size(),
        }
    )


def confident_mistakes(predictions: pd.DataFrame, classes: Sequence[str], count: int) -> list[Mistake]:
    """The `count` images that are named wrongly with the highest confidence, the surest first, then by name."""
    said = said_together(predictions, classes)
    surest = said[said["true"] != said["said"]].reset_index()
    surest = surest.sort_values(["confidence", "image"], ascending=[False, True], kind="stable").head(count)
    return [
        Mistake(str(image), str(true), str(named), float(confidence), int(wrong), int(runs))
        for image, true, named, confidence, wrong, runs in surest.to_numpy().tolist()
    ]
