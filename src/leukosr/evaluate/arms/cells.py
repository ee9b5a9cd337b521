"""Cell by cell: which cells one arm corrects and breaks against another, and how often a cell's label flips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.pairs import Run
from leukosr.evaluate.arms.score import bounded
from leukosr.evaluate.arms.two_way import Side, agreement, estimated, variance_left
from leukosr.evaluate.estimate import TOO_FEW, Estimate

RUN = ("sr_seed", "seed")  # what tells runs apart, where predictions have such columns


@dataclass(frozen=True)
class Change:
    """Shares of all test cells, mean over runs, with 95 % intervals over runs and sources; two runs give none.

    Where few sources hold the marked cells, as they share their fate, intervals end too low: of simulated ones of a
    share of 2 % in 14, 20 and 68 sources 69, 77 and 93 % held the truth, of 11 % 87, 93 and 94 %.
    helped: cells of class `true` that the first arm names rightly and the second arm calls `mistaken`; harmed: the
    other way round. `true` and `mistaken` are None for all cells together.
    """

    true: str | None
    mistaken: str | None
    helped: Estimate
    harmed: Estimate


def by_run(predictions: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each run: of each seed, under each SR seed where there is a column `sr_seed`."""
    keys = [name for name in RUN if name in predictions]
    return [own for _, own in predictions.groupby(keys, sort=True)]


def runs_in_common(first: pd.DataFrame, second: pd.DataFrame) -> int:
    """How many runs `help_and_harm` compares."""
    common = [name for name in RUN if name in first and name in second]
    either = [name for name in RUN if name in first or name in second]
    runs = (each[[name for name in either if name in each]].drop_duplicates() for each in (first, second))
    return len(next(runs).merge(next(runs), on=common))


def help_and_harm(first: pd.DataFrame, second: pd.DataFrame, classes: Sequence[str]) -> list[Change]:
    """What the first arm corrects and breaks: all cells, then each pair of classes that occurs.

    The frames have the columns of predictions.csv. Raises LeukoError where the arms have no image and seed in common.
    """
    common = [name for name in RUN if name in first and name in second]
    both = first.merge(second, on=["image", *common], suffixes=("", "_second"))
    if both.empty:
        raise LeukoError("the two arms have no image and seed in common, so no cell can be compared")
    runs = [name for name in RUN if name in both]  # where one arm has SR seeds, each network meets the other's runs
    named = both["source"] if "source" in both else pd.Series("", index=both.index)
    both["source"] = named.where(named != "", "image:" + both["image"])
    right, other_right = both["true"] == both["predicted"], both["true"] == both["predicted_second"]
    helped, harmed = right & ~other_right, ~right & other_right
    counted = _counter(both, runs)
    agreed = float(np.mean([counted(each).agreed for each in (right, other_right)]))

    def share(marked: pd.Series) -> Estimate:
        return _share(counted(marked), agreed)

    changes = [Change(None, None, share(helped), share(harmed))]
    for true in classes:
        for mistaken in classes:
            gain = helped & (both["true"] == true) & (both["predicted_second"] == mistaken)
            loss = harmed & (both["true"] == true) & (both["predicted"] == mistaken)
            if gain.any() or loss.any():
                changes.append(Change(true, mistaken, share(gain), share(loss)))
    return changes


@dataclass(frozen=True)
class _Counted:
    """How many cells are marked, and how many there are: (runs, sources)."""

    runs: tuple[Run, ...]
    marked: np.ndarray
    cells: np.ndarray

    @property
    def agreed(self) -> float:
        return float(agreement(self.marked, self.cells.sum(1).mean()))

    @property
    def drawn(self) -> int:
        """How many SR networks stand for all that might have been; with one, or none that is named, how many runs."""
        networks = len({run.sr_seed for run in self.runs})
        return networks if networks > 1 else len(self.runs)


def _counter(both: pd.DataFrame, names: list[str]) -> Callable[[pd.Series], _Counted]:
    """What counts marked cells in each run and source; the cells themselves are counted once."""
    keys = both[names].drop_duplicates().sort_values(names)
    runs = tuple(Run(**{name: int(row[name]) for name in names}) for row in keys.to_dict("records"))
    source, sources = pd.factorize(both["source"], sort=True)
    place = both.groupby(names, sort=True).ngroup().to_numpy() * len(sources) + source
    shape = (len(runs), len(sources))
    cells = np.bincount(place, minlength=len(runs) * len(sources)).reshape(shape)

    def counted(marked: pd.Series) -> _Counted:
        found = np.bincount(place[marked.to_numpy()], minlength=cells.size).reshape(shape)
        return _Counted(runs, found, cells)

    return counted


def _share(found: _Counted, agreed: float) -> Estimate:
    """The share of marked cells, mean over runs, with the interval that the score of one arm has.

    agreed: how far runs agree on which cells are right; where none is marked, nothing shows how far they agree on that.
    """
    rates = found.marked.sum(1) / found.cells.sum(1)
    if found.cells.shape[1] < 2 or found.drawn == TOO_FEW:
        return Estimate(float(rates.mean()), None, None)
    influence = (found.marked - rates[:, None] * found.cells) / found.cells.sum(1, keepdims=True)
    of_source = found.cells.mean(0)
    own = estimated([Side(found.runs, rates, influence)], of_source, np.zeros(len(of_source), int))
    left = variance_left(found.agreed if found.marked.any() else agreed, len(found.runs))
    return bounded(own, of_source, left)


@dataclass(frozen=True)
class Flips:
    """Shares of pairs of runs in which one cell is given two labels, in [0, 1]; None where there are no such pairs.

    sr_seeds: between two SR networks, under one seed of the classifier; seeds: between two seeds of the classifier
    (of one SR network, where there are several).
    """

    sr_seeds: float | None
    seeds: float | None


def label_flips(predictions: pd.DataFrame) -> Flips:
    """How often the label of a cell depends on a seed."""
    return Flips(_flips(predictions, "sr_seed", "seed"), _flips(predictions, "seed", "sr_seed"))


def _flips(predictions: pd.DataFrame, varied: str, fixed: str) -> float | None:
    if varied not in predictions:
        return None
    groups = [own for _, own in predictions.groupby(fixed)] if fixed in predictions else [predictions]
    shares = []
    for own in groups:
        labels = own.pivot(index="image", columns=varied, values="predicted")
        for one, other in combinations(labels.columns, 2):
            seen = labels[[one, other]].dropna()
            if len(seen):
                shares.append(float((seen[one] != seen[other]).mean()))
    return float(np.mean(shares)) if shares else None
