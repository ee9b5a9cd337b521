"""Per-image predictions of arms, read from anyone's CSV files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import pandas as pd

from leukosr.errors import LeukoError
from leukosr.evaluate.arms.labels import agreed_labels
from leukosr.quoting import listed, short
from leukosr.tables import LackingColumns, integral, read_table

COLUMNS = ("image", "seed", "true", "predicted")
OPTIONAL = ("source", "sr_seed")
CONFUSION = Path("plots", "confusion")  # of a snapshot
LARGEST_SEED = 2**64 - 1  # what torch.seed() may give


@dataclass(frozen=True)
class Predictions:
    """What the classifiers of one arm said: one row per image and run.

    table: the columns of `COLUMNS` and `source` ("" where it is not known), all text but the integer `seed`; where
    several SR networks made the images also the integer `sr_seed`. classes: those of the file's `p_<class>` columns, or
    the labels that occur. notes: what was understood that is not written so, and what to beware of. uneven: whether
    some run lacks images that others have. inferred: whether the file has no `p_<class>` columns.
    """

    name: str
    table: pd.DataFrame
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    uneven: bool = False
    inferred: bool = False

    @property
    def runs(self) -> int:
        """How many runs there are: of each seed, under each SR seed."""
        return count_runs(self.table)

    @property
    def accuracies(self) -> pd.Series:
        """The fraction of images that each run names correctly."""
        right = self.table["true"] == self.table["predicted"]
        return right.groupby([self.table[column] for column in run_columns(self.table)]).mean()


def run_columns(table: pd.DataFrame) -> list[str]:
    """The columns that tell runs apart: `seed` and, where SR networks made the images, `sr_seed`."""
    return [name for name in ("seed", "sr_seed") if name in table]


def count_runs(table: pd.DataFrame) -> int:
    """How many runs the rows are of."""
    return len(table[run_columns(table)].drop_duplicates())


def read_predictions(
    path: Path, name: str, columns: Mapping[str, str] | None = None, images: str | None = None
) -> Predictions:
    """Read one predictions.csv; `columns` says what the file calls those of `COLUMNS` and `OPTIONAL`, where it differs.

    With `images` only those of matching names, in which a `*` stands for any characters. Raises LeukoError that names
    the file and what is wrong with it.
    """
    refuse_folder(path)
    called = _called(columns or {})
    remedy = "; say what yours are called, e.g. --columns true=label,image=file"
    if columns:
        remedy = "; --columns holds for every table: rename columns where tables call them differently"
    try:
        table = read_table(path, tuple(called.values()), "the predictions.csv of an arm", remedy)
    except LackingColumns as error:
        raise _explained(path, error, called) from None
    if table.empty:
        raise LeukoError(f"{path} holds no predictions")
    renamed = {meant: table[written] for meant, written in called.items()}  # all at once: two may change places
    table = table.drop(columns={*called, *called.values()} & {*table.columns}).assign(**renamed)
    for column in ("image", "true", "predicted"):
        empty = table[column].str.lower().isin(("", "nan"))
        if empty.any():
            raise LeukoError(
                f"{path} has an empty cell in the column {column}, line {empty.idxmax()}: every prediction needs one"
            )
    nested = "sr_seed" in table and bool((table["sr_seed"] != "").any())
    for column in ("seed", *(("sr_seed",) if nested else ())):
        table[column] = _seeds(path, table[column], column)
    if "source" not in table:
        table["source"] = ""
    table.loc[table["source"].str.lower() == "nan", "source"] = ""
    named = tuple(column.removeprefix("p_").strip() for column in table.columns if column.startswith("p_"))
    spelling, notes = agreed_labels(path, table["true"].unique(), table["predicted"].unique(), named)
    for column in ("true", "predicted"):
        table[column] = table[column].replace(spelling)
    kept = [*COLUMNS, "source", *(["sr_seed"] if nested else [])]
    _refuse_contradictions(path, table[kept])
    occurring = set(table["true"].unique()) | set(table["predicted"].unique())
    if named and occurring - set(named):
        raise LeukoError(
            f"{path} has the label '{min(occurring - set(named))}' but no column p_{min(occurring - set(named))}"
        )
    if images is not None:
        table, lacking = _of_images(path, table, images)
        notes = (*notes, *lacking)
    uneven = _uneven_runs(path, table[kept])
    classes = named or tuple(sorted(occurring))
    return Predictions(name, table[kept], classes, (*notes, *uneven), bool(uneven), not named)


def _explained(path: Path, error: LackingColumns, called: Mapping[str, str]) -> LeukoError:
    """What is wrong with a table that lacks columns, where its other columns or its place tell."""
    if {"predicted", "sure", "warnings"} <= set(error.named):
        return LeukoError(
            f"{path} was written by `leukosr predict`, which does not know the true classes: add the columns true "
            "and seed, or name predictions of a study, outputs/STUDY/classify/EXPERIMENT/PROTOCOL/predictions.csv"
        )
    if tables := _published_in(path.parent):
        return LeukoError(f"{path} holds no predictions: name {path.parent / CONFUSION}/NAME.csv ({tables})")
    if set(called.values()) - set(error.named) == {called["seed"]}:
        seed = called["seed"]
        return LeukoError(f"{error}; a table of a single run needs a column {seed} that is 1 throughout")
    return error


def _published_in(folder: Path) -> str:
    """The experiments whose predictions a snapshot holds; empty where there are none."""
    tables = [each.stem for each in sorted((folder / CONFUSION).glob("*.csv"))]
    return listed(tables) if tables else ""


def refuse_folder(path: Path) -> None:
    """Raise LeukoError for a folder of a study or a snapshot, with the tables of predictions in it."""
    if not os.path.isdir(path):  # False, too, for a name that no file can have
        return
    if tables := _published_in(path):
        raise LeukoError(f"{path} is a folder: name a table in it, {path / CONFUSION}/NAME.csv ({tables})")
    # no deeper than a study's outputs go, as the folder may be anyone's home; glob skips what vanishes meanwhile
    for above in ("", "*/", "*/*/", "*/*/*/"):
        if inside := sorted(glob(f"{above}predictions.csv", root_dir=path)):
            raise LeukoError(f"{path} is a folder: name a table in it, e.g. {path / inside[0]}")


def column_names(texts: Sequence[str]) -> dict[str, str]:
    """`["true=label,image=file"]` as {"true": "label", "image": "file"}. Raises LeukoError for anything else."""
    found: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",")):
        meant, _, written = (piece.strip() for piece in part.partition("="))
        if meant not in (*COLUMNS, *OPTIONAL) or not written or meant in found:
            raise LeukoError(
                f"--columns has '{short(part)}': write OURS=YOURS once for each of {', '.join((*COLUMNS, *OPTIONAL))} "
                "that your table calls otherwise"
            )
        found[meant] = written
    return found


def _called(columns: Mapping[str, str]) -> dict[str, str]:
    """What a table calls each of ours. Raises LeukoError for one column as two of them; any may be the source, too."""
    called = {**{column: column for column in COLUMNS}, **columns}
    of_cells = [(meant, written) for meant, written in called.items() if meant != "source"]
    for place, (meant, written) in enumerate(of_cells):
        if twice := [other for other, same in of_cells[:place] if same == written]:
            raise LeukoError(
                f"--columns takes {twice[0]} and {meant} from one column, {written}: name a column of each, e.g. "
                "true=predicted,predicted=true where the two are swapped"
            )
    return called


def _seeds(path: Path, column: pd.Series, name: str) -> pd.Series:
    """Seeds as Python's integers: those of 64 bits fit into no column of numbers that pandas has."""
    found: dict[str, int] = {}
    for written in column.unique():
        text = integral(written)
        if not re.fullmatch(r"-?[0-9]{1,20}", text) or abs(int(text)) > LARGEST_SEED:
            line = (column == written).idxmax()
            raise LeukoError(
                f"{path} has the {name} '{short(written)}', line {line}; seeds are whole numbers of at most 64 bits"
            )
        found[written] = int(text)
    return column.map(found).astype(object)


def _refuse_contradictions(path: Path, table: pd.DataFrame) -> None:
    twice = table.duplicated([column for column in ("image", "seed", "sr_seed") if column in table])
    if twice.any():
        row = table[twice].iloc[0]
        raise LeukoError(
            f"{path} has image {row['image']} twice for seed {row['seed']}: one prediction per image and seed"
        )
    for column in ("true", "source"):
        different = table.groupby("image")[column].nunique() > 1
        if different.any():
            swapped = column == "true" and (table.groupby("image")["predicted"].nunique() == 1).all()
            hint = "; the column predicted has one for each image: are the two swapped?" if swapped else ""
            raise LeukoError(f"{path} gives image {different.idxmax()} more than one value of {column}{hint}")


def _of_images(path: Path, table: pd.DataFrame, pattern: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the images whose name matches, and a sentence on the classes that have none there."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    part = table[table["image"].str.fullmatch(expression)]
    like = f"like '{short(pattern)}'"
    if part.empty:
        raise LeukoError(f"{path} has no image {like}; its first is {short(table['image'].iloc[0])}")
    if count_runs(part) < count_runs(table):
        raise LeukoError(f"{path} has a run without any image {like}: name images that every run has")
    classes, there = (sorted(each["true"].unique()) for each in (table, part))
    if len(there) == 1 < len(classes):
        raise LeukoError(
            f"all images {like} in {path} are of the class {short(there[0])}, and macro F1 says nothing of one class "
            "alone: name images of two or more"
        )
    lacking = sorted({*classes} - {*there})
    return part, [
        f"{path}: no image {like} is of {listed(lacking)}; macro F1 is the mean over the others"
    ] if lacking else []


def _uneven_runs(path: Path, table: pd.DataFrame) -> list[str]:
    """A sentence where some runs lack images that others have."""
    counts = table.groupby(run_columns(table))["image"].nunique()
    images = table["image"].nunique()
    if (lacking := int((counts < images).sum())) == 0:
        return []
    return [
        f"{path}: {lacking} of {len(counts)} runs lack some of the {images} images (the shortest has {counts.min()}), "
        "and every run counts alike: give each run all images, unless they were drawn so"
    ]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Short names that tell files apart: the stems, or else the folders in which their paths differ.

    `classify/raw/paper/predictions.csv` and `classify/bicubic/paper/predictions.csv` are `raw` and `bicubic`. Files at
    different depths have their whole path below the folder that they have in common.
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    whole = [Path(os.path.abspath(path)) for path in paths]
    common = os.path.commonpath([path.parent for path in whole])
    parts = [(*path.parent.relative_to(common).parts, path.stem) for path in whole]
    if len({len(part) for part in parts}) == 1:
        differing = [i for i in range(len(parts[0])) if len({part[i] for part in parts}) > 1]
        names = ["/".join(part[i] for i in differing) for part in parts]
    else:
        shared = len(set(stems)) == 1  # predictions.csv in every folder
        names = ["/".join(part[:-1] if shared and len(part) > 1 else part) for part in parts]
    if len(set(names)) < len(names):  # they differ in their suffixes alone
        names = ["/".join((*part[:-1], path.name)) for part, path in zip(parts, whole, strict=True)]
    if len(set(names)) < len(names):
        raise LeukoError(f"the files {', '.join(map(str, paths))} are not all different: name each arm once")
    return names
