"""Two arms side by side, counted by run, source and class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.predictions import Predictions

MOST_COUNTS = 20_000_000  # runs x sources x classes of a pair: six arrays of 160 MB

PURE = 0.9  # share of images in the main class of their source from which on sources are a sample of each class


@dataclass(frozen=True)
class Run:
    """One classifier: its seed, and that of the SR network whose images it saw, where the table names it."""

    seed: int
    sr_seed: int | None = None

    @property
    def label(self) -> str:
        """Its seeds as files and records name them: `1`, or `1-sr-2` with SR seed 2."""
        return str(self.seed) if self.sr_seed is None else f"{self.seed}-sr-{self.sr_seed}"


@dataclass(frozen=True)
class Counts:
    """True positives, predicted and true images of each class: integers, (..., runs, sources, classes)."""

    hits: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two arms on the same images.

    runs, other_runs: the runs of the first and of the second arm; where `paired`, runs of the same place share a seed.
    strata: a number for each source; those of one number are a sample of their own (`strata_of`). without_source:
    how many images name no source; each counts as a source of its own. left_out: how many predictions only one of
    the two arms has. shared: the smaller of the two shares of an arm's images that both have.
    """

    a: str
    b: str
    first: Counts
    second: Counts
    runs: tuple[Run, ...]
    other_runs: tuple[Run, ...]
    paired: bool
    strata: np.ndarray
    images: int
    without_source: int
    left_out: int
    shared: float

    @property
    def sources(self) -> int:
        """Number of sources."""
        return len(self.strata)

    @property
    def known(self) -> bool:
        """Whether every image names its source."""
        return self.without_source == 0

    @property
    def networks(self) -> int | None:
        """How many SR networks the runs saw the images of, of the arm that has fewer; None where no table says."""
        of_arms = [{run.sr_seed for run in runs} - {None} for runs in (self.runs, self.other_runs)]
        return min((len(seeds) for seeds in of_arms if seeds), default=None)


def pair(a: Predictions, b: Predictions) -> Pair:
    """Put two arms side by side on the images and seeds that both have.

    Where both name SR seeds, runs agree in those too; where one does, each of its networks meets the runs of the other
    arm. Arms that share fewer than two runs although one has more are unpaired: all runs of both count.
    Raises LeukoError where no image is common, for one run each without a common seed, or where the arms disagree
    about an image's label or source.
    """
    run = ["seed", *(["sr_seed"] if all("sr_seed" in arm.table for arm in (a, b)) else [])]
    both = a.table.merge(b.table, on=["image", *run], suffixes=("", "_b"))
    common, most = _count(both, run), max(_count(arm.table, run) for arm in (a, b))
    paired = common > 1 or most == 1
    if paired:
        _refuse_unlike(a, b, both)
        if both.empty:
            raise _nothing_common(a, b)
        keys_of = [["image", "seed", *(["sr_seed"] if "sr_seed" in arm.table else [])] for arm in (a, b)]
        met = sum(len(both[own].drop_duplicates()) for own in keys_of)
        left_out = len(a.table) + len(b.table) - met
        rows = [both, both.assign(predicted=both["predicted_b"])]
    else:
        by_image = [arm.table.drop_duplicates("image") for arm in (a, b)]
        shared = by_image[0].merge(by_image[1], on="image", suffixes=("", "_b"))
        _refuse_unlike(a, b, shared)
        if shared.empty:
            raise _nothing_common(a, b)
        rows = [arm.table[arm.table["image"].isin(shared["image"])] for arm in (a, b)]
        left_out = len(a.table) + len(b.table) - sum(map(len, rows))
    return _counted(a, b, rows, paired, left_out)


def _count(rows: pd.DataFrame, run: list[str]) -> int:
    return len(rows[run].drop_duplicates())


def _nothing_common(a: Predictions, b: Predictions) -> LeukoError:
    shared = "image" if set(a.table["image"]).isdisjoint(b.table["image"]) else "seed"
    return LeukoError(
        f"{a.name} and {b.name} have no common {shared}s, so they cannot be compared: theirs are e.g. "
        f"'{a.table[shared].iloc[0]}' and '{b.table[shared].iloc[0]}'; write them alike in both tables"
    )


def _refuse_unlike(a: Predictions, b: Predictions, both: pd.DataFrame) -> None:
    for one, other_one in ((a, b), (b, a)):
        if (one.table["source"] == "").all() and (other_one.table["source"] != "").any():
            raise LeukoError(
                f"{other_one.name} names sources and {one.name} does not: add the column source to the table of "
                f"{one.name}, or take it out of the other"
            )
    for column, word in (("true", "label"), ("source", "source")):
        other = both[column] != both[f"{column}_b"]
        if other.any():
            row = both[other].iloc[0]
            raise LeukoError(
                f"{a.name} and {b.name} disagree about the {word} of image {row['image']}: "
                f"'{row[column]}' and '{row[f'{column}_b']}'; correct one of the tables"
            )


def _classes(a: Predictions, b: Predictions) -> tuple[str, ...]:
    """The classes of both. A table without p_ columns has those that occur, so a rare one may lack in the other."""
    known = [set(arm.classes) for arm in (a, b) if not arm.inferred]
    union = {*a.classes, *b.classes}
    if any(each != union for each in known):
        raise LeukoError(
            f"{a.name} and {b.name} have different classes: {', '.join(a.classes)} and {', '.join(b.classes)}; "
            "give both tables the same labels and p_ columns"
        )
    return a.classes if set(a.classes) == union else tuple(sorted(union))


def _counted(a: Predictions, b: Predictions, rows: list[pd.DataFrame], paired: bool, left_out: int) -> Pair:
    without_source = len({image for side in rows for image in side["image"][side["source"] == ""]})
    rows = [side.assign(source=side["source"].where(side["source"] != "", "image:" + side["image"])) for side in rows]
    names, images = sorted(set(rows[0]["source"])), rows[0]["image"].nunique()
    classes = _classes(a, b)
    counts, runs = [], []
    for side in rows:
        own, place = _runs_of(side)
        shape = (len(own), len(names), len(classes))
        if math.prod(shape) > MOST_COUNTS:
            raise LeukoError(
                f"{a.name} and {b.name} have {len(own)} seeds, {len(names)} sources and {len(classes)} classes, too "
                "many to count together: check the columns true and predicted"
            )
        source = side["source"].map({name: i for i, name in enumerate(names)}).to_numpy()
        true, predicted = (
            side[column].map({label: i for i, label in enumerate(classes)}).to_numpy()
            for column in ("true", "predicted")
        )
        runs.append(own)
        counts.append(_counts(place, source, true, predicted, shape))
    return Pair(
        a=a.name,
        b=b.name,
        first=counts[0],
        second=counts[1],
        runs=runs[0],
        other_runs=runs[1],
        paired=paired,
        strata=strata_of(counts[0].true.sum(0)),
        images=images,
        without_source=without_source,
        left_out=left_out,
        shared=images / max(arm.table["image"].nunique() for arm in (a, b)),
    )


def strata_of(true: np.ndarray) -> np.ndarray:
    """The class of each source, from its images of each class (sources, classes).

    Where sources hold images of several classes, as patients do, they are one sample and all in class 0.
    """
    return true.argmax(1) if true.max(1).sum() >= PURE * true.sum() else np.zeros(len(true), np.int64)


def _runs_of(rows: pd.DataFrame) -> tuple[tuple[Run, ...], np.ndarray]:
    """The runs of a table, in the order of their seeds, and the place of each row's run among them."""
    seeds = rows["seed"].to_numpy()
    networks = rows["sr_seed"].to_numpy() if "sr_seed" in rows else np.full(len(rows), None)
    ordered = sorted(set(zip(seeds, networks, strict=True)), key=lambda key: (key[0], -1 if key[1] is None else key[1]))
    place = {key: i for i, key in enumerate(ordered)}
    return (
        tuple(Run(int(seed), None if network is None else int(network)) for seed, network in ordered),
        np.array([place[key] for key in zip(seeds, networks, strict=True)]),
    )


def _counts(
    run: np.ndarray, source: np.ndarray, true: np.ndarray, predicted: np.ndarray, shape: tuple[int, int, int]
) -> Counts:
    counts = Counts(*(np.zeros(shape, np.int64) for _ in range(3)))
    hit = true == predicted
    np.add.at(counts.hits, (run[hit], source[hit], true[hit]), 1)
    np.add.at(counts.predicted, (run, source, predicted), 1)
    np.add.at(counts.true, (run, source, true), 1)
    return counts
