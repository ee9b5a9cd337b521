"""Per-image predictions of arms, read from anyone's CSV files and put side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.labels import agreed_labels
from leukosr.quoting import short
from leukosr.tables import integral, read_table

COLUMNS = ("image", "source", "seed", "true", "predicted")
LARGEST_SEED = 2**64 - 1  # what torch.seed() may give
MOST_COUNTS = 20_000_000  # runs x sources x classes of a pair: six arrays of 160 MB


@dataclass(frozen=True)
class Predictions:
    """What the classifiers of one arm said: one row an image and a seed, with the columns of `COLUMNS`, all text
    but the integer `seed`. `classes` are those of the file's `p_<class>` columns, or the labels that occur. `notes` say
    what was understood that is not written so."""

    name: str
    table: pd.DataFrame
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """True positives, predicted and true images of each class: integers, (runs, sources, classes)."""

    hits: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two arms on the same images and seeds.

    `strata` holds a class number for each source. `known` is whether every image names its source; one that does not
    counts as a source of its own. `left_out` counts the predictions that only one of the two arms has.
    """

    a: str
    b: str
    first: Counts
    second: Counts
    seeds: tuple[int, ...]
    strata: np.ndarray
    images: int
    known: bool
    left_out: int

    @property
    def sources(self) -> int:
        """Number of sources."""
        return len(self.strata)


def read_predictions(path: Path, name: str) -> Predictions:
    """Read one predictions.csv. Raises LeukoError that names the file and what is wrong with it."""
    table = read_table(path, COLUMNS, "the predictions.csv of an arm")
    if table.empty:
        raise LeukoError(f"{path} holds no predictions")
    for column in ("image", "true", "predicted"):
        empty = table[column].str.lower().isin(("", "nan"))
        if empty.any():
            raise LeukoError(
                f"{path} has an empty cell in the column {column}, line {empty.idxmax()}: every prediction needs one"
            )
    table["seed"] = _seeds(path, table["seed"])
    named = tuple(column.removeprefix("p_").strip() for column in table.columns if column.startswith("p_"))
    spelling, notes = agreed_labels(path, table["true"], table["predicted"], named)
    for column in ("true", "predicted"):
        table[column] = table[column].map(lambda label: spelling.get(label, label))
    _refuse_contradictions(path, table)
    occurring = set(table["true"]) | set(table["predicted"])
    if named and occurring - set(named):
        raise LeukoError(
            f"{path} has the label '{min(occurring - set(named))}' but no column p_{min(occurring - set(named))}"
        )
    return Predictions(name, table[list(COLUMNS)], named or tuple(sorted(occurring)), notes)


def _seeds(path: Path, column: pd.Series) -> pd.Series:
    """Seeds as Python's integers: those of 64 bits fit into no column of numbers that pandas has."""
    text = column.map(integral)
    whole = text.str.fullmatch(r"-?[0-9]{1,20}")
    seeds = text.where(whole, "-1").map(int).astype(object)
    odd = ~whole | (seeds.abs() > LARGEST_SEED)
    if odd.any():
        raise LeukoError(
            f"{path} has the seed '{short(column[odd].iloc[0])}', line {odd.idxmax()}; seeds are whole numbers of at "
            "most 64 bits"
        )
    return seeds


def _refuse_contradictions(path: Path, table: pd.DataFrame) -> None:
    twice = table.duplicated(["image", "seed"])
    if twice.any():
        row = table[twice].iloc[0]
        raise LeukoError(
            f"{path} has image {row['image']} twice for seed {row['seed']}: one prediction an image and seed"
        )
    for column in ("true", "source"):
        different = table.groupby("image")[column].nunique() > 1
        if different.any():
            raise LeukoError(f"{path} gives image {different.idxmax()} more than one value of {column}")


def pair(a: Predictions, b: Predictions) -> Pair:
    """Put two arms side by side on the images and seeds that both have.

    Raises LeukoError where there are none, or where the arms disagree about an image's label or source.
    """
    keys = ["image", "seed"]
    both = a.table.merge(b.table, on=keys, suffixes=("", "_b"))
    if both.empty:
        shared = "seed" if set(a.table["seed"]).isdisjoint(b.table["seed"]) else "image"
        raise LeukoError(
            f"{a.name} and {b.name} have no common {shared}s, so they cannot be compared: theirs are e.g. "
            f"'{a.table[shared].iloc[0]}' and '{b.table[shared].iloc[0]}'"
        )
    for column, word in (("true", "label"), ("source", "source")):
        other = both[column] != both[f"{column}_b"]
        if other.any():
            row = both[other].iloc[0]
            raise LeukoError(
                f"{a.name} and {b.name} disagree about the {word} of image {row['image']}: "
                f"'{row[column]}' and '{row[f'{column}_b']}'"
            )
    if set(a.classes) != set(b.classes):
        raise LeukoError(
            f"{a.name} and {b.name} have different classes: {', '.join(a.classes)} and {', '.join(b.classes)}"
        )
    known = bool((both["source"] != "").all())
    both["source"] = both["source"].where(both["source"] != "", "image:" + both["image"])
    seeds, run = np.unique(both["seed"], return_inverse=True)
    names, source = np.unique(both["source"].astype(str), return_inverse=True)
    shape = (len(seeds), len(names), len(a.classes))
    if math.prod(shape) > MOST_COUNTS:
        raise LeukoError(
            f"{a.name} and {b.name} have {len(seeds)} seeds, {len(names)} sources and {len(a.classes)} classes, too "
            "many to count together: check the columns true and predicted"
        )
    number = {label: i for i, label in enumerate(a.classes)}
    true = both["true"].map(number).to_numpy()
    first, second = (
        _counts(run, source, true, both[column].map(number).to_numpy(), shape)
        for column in ("predicted", "predicted_b")
    )
    return Pair(
        a=a.name,
        b=b.name,
        first=first,
        second=second,
        seeds=tuple(int(seed) for seed in seeds),
        strata=first.true.sum(0).argmax(1),
        images=both["image"].nunique(),
        known=known,
        left_out=len(a.table) + len(b.table) - 2 * len(both),
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


def names_of(paths: Sequence[Path]) -> list[str]:
    """Short names that tell files apart: the stems, or else the folders in which their paths differ.

    `classify/raw/paper/predictions.csv` and `classify/bicubic/paper/predictions.csv` are `raw` and `bicubic`.
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    whole = [Path(os.path.abspath(path)) for path in paths]
    parts = [(path.stem, *path.parts[-2::-1]) for path in whole]
    depth = min(map(len, parts))
    differing = [i for i in range(depth) if len({part[i] for part in parts}) > 1]
    names = ["/".join(part[i] for i in reversed(differing)) for part in parts]
    if len(set(names)) < len(names):
        raise LeukoError(f"the files {', '.join(map(str, paths))} are not all different: name each arm once")
    return names
