"""The `split.csv` of a set: which image is of which class and of which part."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from leukosr.data.paths import find_file, stays_below
from leukosr.errors import LeukoError
from leukosr.quoting import short
from leukosr.tables import read_table, write_frame

if TYPE_CHECKING:
    import pandas as pd

NAME = "split.csv"
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class SplitRow:
    """One row: a path below the root with slashes, its label, and `train`, `val` or `test`."""

    path: str
    label: str
    split: str


def read_split(root: Path, labelled: bool = True) -> list[SplitRow]:
    """The rows of `split.csv` (`path, label, split`) in `root`, in their order; labels are empty if not `labelled`.

    Raises LeukoError that names the line of a row without a label, with an unknown split, with a path that leaves
    `root` or with one that an earlier row has.
    """
    table = root / NAME
    columns = ("path", "label", "split") if labelled else ("path", "split")
    frame = read_table(table, columns, f"a split ({', '.join(columns)})", "; rename yours")
    if not labelled:
        frame["label"] = ""
    rows: list[SplitRow] = []
    line_of: dict[str, int] = {}
    for line, path, label, split in frame[["path", "label", "split"]].itertuples():
        where = f"{table} line {line}"
        if split.casefold() not in SPLITS:
            raise LeukoError(f"{where}: split is '{short(split)}', allowed are {', '.join(SPLITS)}")
        if not path:
            raise LeukoError(f"{where}: needs a path")
        if not stays_below(path):
            raise LeukoError(f"{where}: the path '{short(path)}' does not lie below {root}: write it from there on")
        if labelled and not label:
            raise LeukoError(f"{where}: {short(path)} has no label")
        row = SplitRow(find_file(root, path), label, SPLITS[split.casefold()])
        if (earlier := line_of.setdefault(row.path, line)) != line:
            raise LeukoError(f"{where}: {row.path} is already in line {earlier}; keep one of the two")
        rows.append(row)
    if not rows:
        raise LeukoError(f"{table} lists no image: add rows `path,label,split`")
    return rows


def copy_split(root: Path, target: Path, kept: Container[str]) -> int:
    """Copy the `split.csv` of `root` to the folder `target`, without the rows of images that are not among `kept`.

    Returns how many rows that were; all other cells stay, and a table that loses none stays byte for byte.
    """
    table = read_table(root / NAME, ("path", "split"), "a split (path, split)", "; rename yours")
    kept_rows = [find_file(root, path) in kept for path in table["path"]]
    if all(kept_rows):
        shutil.copyfile(root / NAME, target / NAME)
    else:
        write_frame(target / NAME, table[kept_rows])
    return kept_rows.count(False)


def split_by_folders(folders: Mapping[str, str], images: Iterable[str]) -> pd.DataFrame | None:
    """The `split.csv` of a set that is a training, a validation and a test folder, each with class folders.

    `folders` says which part each is; `images` are paths with slashes. None where an image lies in no class folder, or
    in one that is hidden from `prepare` by its underscore; where training and test have not the same classes, two or
    more, or validation has another.
    """
    import pandas as pd

    rows, classes = [], dict[str, set[str]]((part, set()) for part in folders.values())
    for image in sorted(images):
        part, *inner = PurePosixPath(image).parts
        if part not in folders or len(inner) < 2 or any(name.startswith("_") for name in inner[:-1]):
            return None
        rows.append((image, inner[0], folders[part]))
        classes[folders[part]].add(inner[0])
    if len(classes["train"]) < 2 or classes["train"] != classes["test"] or not classes["val"] <= classes["train"]:
        return None
    return pd.DataFrame(rows, columns=["path", "label", "split"])
