"""The `split.csv` of a set: which image is of which class and of which part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leukosr.data.paths import find_file, stays_below
from leukosr.errors import LeukoError
from leukosr.quoting import short
from leukosr.tables import read_table

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
    frame = read_table(table, columns, f"the split of a set ({', '.join(columns)})")
    if not labelled:
        frame["label"] = ""
    rows: list[SplitRow] = []
    line_of: dict[str, int] = {}
    for line, path, label, split in frame[["path", "label", "split"]].itertuples():
        where = f"{table} line {line}"
        if split.casefold() not in SPLITS:
            raise LeukoError(f"{where}: split is '{short(split)}', allowed are {', '.join(SPLITS)}")
        if (labelled and not label) or not stays_below(path):
            raise LeukoError(f"{where}: needs a path below the folder and a label")
        row = SplitRow(find_file(root, path), label, SPLITS[split.casefold()])
        if (earlier := line_of.setdefault(row.path, line)) != line:
            raise LeukoError(f"{where}: {row.path} is already in line {earlier}; keep one of the two")
        rows.append(row)
    if not rows:
        raise LeukoError(f"{table} lists no image: add rows `path,label,split`")
    return rows
