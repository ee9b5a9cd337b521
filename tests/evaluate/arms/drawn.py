"""Simulated arms as if read from files."""

from __future__ import annotations

import numpy as np
import pandas as pd

from leukosr.evaluate.arms.pairs import Counts, Pair
from leukosr.evaluate.arms.predictions import Predictions


def as_predictions(pair: Pair) -> tuple[Predictions, Predictions]:
    """The two arms of one data set, whose sources have one class each, as if read from files."""
    classes = tuple(f"c{i}" for i in range(pair.first.hits.shape[-1]))
    tables = [_table(side, pair, classes) for side in (pair.first, pair.second)]
    return Predictions(pair.a, tables[0], classes), Predictions(pair.b, tables[1], classes)


def _table(side: Counts, pair: Pair, classes: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for place, run in enumerate(pair.runs):
        for source, label in enumerate(pair.strata):
            said = np.repeat(classes, side.predicted[place, source])
            own = {} if run.sr_seed is None else {"sr_seed": run.sr_seed}
            rows += [
                {
                    "image": f"i{source}-{i}",
                    "source": f"s{source}",
                    "seed": run.seed,
                    **own,
                    "true": classes[label],
                    "predicted": each,
                }
                for i, each in enumerate(said)
            ]
    return pd.DataFrame(rows)
